"""A page from its parts: one HTML file that asks for nothing else. The only file with Jinja2."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aach_lightning import __version__
from aach_lightning.evaluation.gallery import Found
from aach_lightning.reports.figure import GRID, INK
from aach_lightning.reports.sheet import Sheet

# What a figure's colours become on dark paper; a browser applies this inside of the picture.
_DARK = {INK: "#e6e8eb", GRID: "#333a42", "#ffffff": "#15181c", "#0072b2": "#3d9fdb", "#6b4f2a": "#b08d5b"}


@dataclass(frozen=True)
class Picture:
    """One picture of a page.

    Attributes:
        source: A data URI.
        alt: What it shows, for whoever does not see it.
        width: Pixels.
        height: Pixels.
        caption: Below it.
    """

    source: str
    alt: str
    width: int
    height: int
    caption: str = ""


@dataclass(frozen=True)
class Shown:
    """One attacked item of the gallery.

    Attributes:
        title: Which one, and by what rule.
        images: Clean, perturbation, adversarial.
        found: Titles of lists, and what was retrieved.
    """

    title: str
    images: tuple[Picture, ...]
    found: tuple[tuple[str, tuple[Found, ...]], ...]


@dataclass(frozen=True)
class Tile:
    """One direction in a few numbers.

    Attributes:
        title: Name.
        figure: The number that counts most.
        meaning: What it is.
        rows: Names and values.
    """

    title: str
    figure: str
    meaning: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes:
        name: Its anchor.
        title: Its header.
        intro: Text before everything.
        pictures: Side by side where there is room.
        sheets: Tables.
        folded: Tables that are opened by a click.
        exhibits: Attacked items.
        lines: A list at the end.
        missing: What is not there, and what brings it; "" for nothing.
    """

    name: str
    title: str
    intro: str = ""
    pictures: tuple[Picture, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    folded: tuple[Sheet, ...] = ()
    exhibits: tuple[Shown, ...] = ()
    lines: tuple[str, ...] = ()
    missing: str = ""


def render(
    title: str,
    sections: Sequence[Section],
    facts: Sequence[str] = (),
    notes: Sequence[str] = (),
    tiles: Sequence[Tile] = (),
    tiles_note: str = "",
) -> bytes:
    """A page as HTML.

    Args:
        title: Its header.
        sections: From top to bottom.
        facts: What it is made of, in a line.
        notes: Warnings, such as that data are no benchmark.
        tiles: The outcome in a few numbers.
        tiles_note: What they are.

    Everything in it is text, never markup: names of data sets, methods and files may be anybody's. A content security
    policy lets the page run its one script, and load nothing.
    """
    loader = PackageLoader("aach_lightning.reports")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (loader.get_source(environment, name)[0] for name in ("style.css", "sort.js"))
    text = environment.get_template("page.html").render(
        title=title,
        sections=sections,
        facts=facts,
        notes=notes,
        tiles=tiles,
        tiles_note=tiles_note,
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        version=__version__,
    )
    return text.encode("utf-8", "backslashreplace")


def _hash(text: str) -> str:
    """Of an inline style or script, as a content security policy names it."""
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def svg_source(content: bytes) -> str:
    """An SVG of `reports.figure` as a data URI that follows a reader's choice of light or dark."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in _DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    text = content.decode("utf-8").replace("<defs>", f"{style}<defs>", 1)
    return f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}"


def png_source(content: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
