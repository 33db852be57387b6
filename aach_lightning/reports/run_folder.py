"""What lies in the folder of a run of attack.py."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from aach_lightning.data.adversarial_set import MANIFEST
from aach_lightning.evaluation.exhibits import GALLERY
from aach_lightning.evaluation.result import Result
from aach_lightning.evaluation.retrieval_curves import CURVES
from aach_lightning.reports.text import printable
from aach_lightning.runtime.files import write_bytes

RESULT, PICTURE, SPLIT, WORDS, ADVERSARIAL = "result.json", "attack.png", "split.json", "words.json", "adversarial"
_BESIDE = (SPLIT, CURVES, PICTURE, GALLERY, WORDS)  # what may lie beside a result


def publish(finished: Path, output: Path) -> Result:
    """Copy a finished result, with what lies beside it, into the folder of the run."""
    saved = sorted((finished / ADVERSARIAL).rglob("*.*"), key=lambda file: (file.name == MANIFEST, file))
    names = [str(file.relative_to(finished)) for file in saved]
    for name in (*names, *_BESIDE, RESULT):  # the result last: where it is, the others are
        if (finished / name).exists():
            write_bytes(output / name, (finished / name).read_bytes())
    return Result.load(output / RESULT)


def show_folder(output: Path, before: Path | None, console: Console) -> None:
    """Say where everything is.

    Args:
        output: Folder of the run.
        before: Where the result was found, if it had been finished before.
        console: Where to.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if (output / ADVERSARIAL).exists():
        say(f"adversarial queries: {output / ADVERSARIAL}")
    if (output / WORDS).exists():
        show_words(json.loads((output / WORDS).read_text(encoding="utf-8")), console)
        say(f"words:   {output / WORDS}")
    if before is not None:
        say(f"finished before: {before}")
    say(f"result:  {output / RESULT}")
    if (output / PICTURE).exists():
        say(f"picture: {output / PICTURE}")


def show_words(changes: Sequence[Mapping[str, Any]], console: Console, count: int = 4) -> None:
    """Print the first texts that the attack has edited: their words, with + before added and - before removed ones.

    Args:
        changes: Of `evaluation.words.word_changes`.
        console: Where to.
        count: Largest number of texts.
    """
    edited = [change for change in changes if change["attack"]["added"] or change["attack"]["removed"]]
    console.print(f"texts edited by the attack: {len(edited)} of {len(changes)}", markup=False)
    for change in edited[:count]:
        removed = set(change["attack"]["removed"])
        line = Text("  ")
        for word in change["words"]:
            gone = word in removed
            line.append(f"{'-' * gone}{printable(word)} ", "red strike" if gone else "dim")
        for word in change["attack"]["added"]:
            line.append(f"+{printable(word)} ", "green")
        console.print(line)
