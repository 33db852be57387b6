"""The gallery of a run as a document: images without loss, the texts that were found for them."""

import base64
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aach_lightning.evaluation.document import read_document
from aach_lightning.evaluation.gallery import Exhibit, Found
from aach_lightning.runtime.files import write_json

GALLERY = "gallery.json"
SCHEMA = "aach_lightning.gallery/1"
LARGEST_SIDE = 1024  # pixels


def save_exhibits(exhibits: Sequence[Exhibit], path: Path) -> None:
    """Write as JSON, atomically; images as PNG in base64."""
    shown = [
        vars(exhibit)
        | {
            "clean": _png(exhibit.clean),
            "adversarial": _png(exhibit.adversarial),
            "before": [asdict(found) for found in exhibit.before],
            "after": [asdict(found) for found in exhibit.after],
        }
        for exhibit in exhibits
    ]
    write_json(path, {"schema": SCHEMA, "exhibits": shown})


def load_exhibits(path: Path) -> list[Exhibit]:
    """Read a saved gallery.

    Raises:
        DataError: If the file is unreadable or of another version, or an image is damaged or larger than
            `LARGEST_SIDE`.
    """
    return read_document(
        path,
        "gallery",
        (SCHEMA,),
        lambda content: [_exhibit(shown) for shown in content["exhibits"]],
        (SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning),
    )


def _exhibit(shown: dict[str, Any]) -> Exhibit:
    exhibit = Exhibit(
        str(shown["name"]),
        _pixels(shown["clean"]),
        _pixels(shown["adversarial"]),
        tuple(Found(str(found["text"]), found["relevant"] is True) for found in shown["before"]),
        tuple(Found(str(found["text"]), found["relevant"] is True) for found in shown["after"]),
        int(shown["moved"]),
    )
    if exhibit.clean.shape != exhibit.adversarial.shape:
        raise ValueError(f"{exhibit.clean.shape} and {exhibit.adversarial.shape} are two sizes of one image")
    return exhibit


def _png(image: NDArray[np.float32]) -> str:
    pixels = np.rint(image.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _pixels(text: str) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        picture = Image.open(BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"])
    with picture:
        if max(picture.size) > LARGEST_SIDE:
            raise ValueError(f"an image of {picture.size} pixels, at most {LARGEST_SIDE} a side")
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    scaled: NDArray[np.float32] = pixels.transpose(2, 0, 1) / np.float32(255)
    return scaled
