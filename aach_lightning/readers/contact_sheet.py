"""A picture of some pairs, to see at a glance whether images, texts and labels belong together."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from aach_lightning.data.pairs import Pairs
from aach_lightning.runtime.files import write_atomically

COLUMNS = 6
TILE = 160  # pixels, height and width of an image on the sheet
LINE = 14
LINES = 3
MARGIN = 6
_LETTERS = 26


def contact_sheet(pairs: Pairs, path: Path, most: int = 24) -> None:
    """Draw pairs from all over the data set, with name, text and labels below each, as a PNG.

    Args:
        pairs: The data set.
        path: The PNG; replaced if it exists.
        most: Number of pairs at most.
    """
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(np.int64))
    columns = min(COLUMNS, len(rows))
    width, height = TILE + MARGIN, TILE + LINES * LINE + MARGIN
    sheet = Image.new("RGB", (columns * width + MARGIN, -(-len(rows) // columns) * height + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for position, row in enumerate(rows):
        left, top = MARGIN + position % columns * width, MARGIN + position // columns * height
        pixels = pairs.images[row if pairs.image_rows is None else pairs.image_rows[row]]
        tile = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        sheet.paste(tile.resize((TILE, TILE), Image.Resampling.BICUBIC), (left, top))
        labels = ", ".join(pairs.label_names[column] for column in np.flatnonzero(pairs.labels[row]))
        bag = pairs.texts[row] if pairs.texts.dtype == np.uint8 else ()  # entries of other vectors are no words
        words = " ".join(pairs.words[column] for column in np.flatnonzero(bag)[:_LETTERS])
        for number, text in enumerate((pairs.names[row], pairs.captions[row] or words, labels)):
            draw.text((left, top + TILE + number * LINE), _short(text), fill="black")
    write_atomically(path, lambda file: sheet.save(file, "PNG"))


def _short(text: str) -> str:
    plain = " ".join(text.split()).encode("ascii", "replace").decode()  # all that Pillow's own font is sure to have
    return plain if len(plain) <= _LETTERS else f"{plain[: _LETTERS - 3]}..."
