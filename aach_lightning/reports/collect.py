"""Find the runs and cards below a folder: every result once, and what there is instead where one is missing."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aach_lightning.errors import DataError
from aach_lightning.evaluation.card import Card
from aach_lightning.evaluation.result import Result
from aach_lightning.reports.frame import flatten, identity, rows_of, to_frame
from aach_lightning.reports.jobs import JOB, SWEEP, MissingJob, missing_jobs
from aach_lightning.reports.run_folder import RESULT
from aach_lightning.runtime.files import digest_json

LARGEST = 64 * 2**20  # bytes; a result has some ten thousand
LARGEST_CARD = 2**20  # a card has some thousand
CARDS = "cards"
Progress = Callable[[list[Path]], Iterable[Path]]
Skipped = list[tuple[Path, str]]


@dataclass(frozen=True)
class Collection:
    """What lies below a folder.

    Attributes:
        frame: One row for each run, direction and kind of query; see `reports.frame.COLUMNS`.
        configs: Flat configuration of each run, by its hash.
        results: File and content of each run, by its hash.
        repeated: Files that hold a run which counts already.
        contradictions: Pairs of files, the first of which counts, that hold the same run with other numbers.
        skipped: Files that could not be read, and folders, with the reason.
        missing: Jobs without a result.
    """

    frame: pd.DataFrame
    configs: dict[str, dict[str, Any]]
    results: dict[str, tuple[Path, Result]]
    repeated: tuple[Path, ...]
    contradictions: tuple[tuple[Path, Path], ...]
    skipped: tuple[tuple[Path, str], ...]
    missing: tuple[MissingJob, ...]


def collect(root: Path, progress: Progress = iter) -> Collection:
    """Read every result below a folder.

    Args:
        root: A sweep's folder, a folder of runs, or any folder above them.
        progress: Gives back the files one by one, and may draw a bar.

    Where two files hold the same run (equal configuration, seed and data), the newer one counts.

    Raises:
        DataError: If there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; DIR must hold a sweep, runs, or an artifact store")
    skipped: Skipped = []
    files, sweeps = [], []
    jobs: dict[Path, bool] = {}
    for folder, folders, names in walk(root, skipped):
        if RESULT in names:
            files.append(folder / RESULT)
        if JOB in folders:
            jobs[folder] = RESULT in names
        if SWEEP in names:
            sweeps.append(folder)
    found: dict[str, tuple[Path, Result, list[dict[str, Any]]]] = {}
    repeated: list[Path] = []
    contradictions: list[tuple[Path, Path]] = []
    for file in progress(sorted(files, key=_age)):
        try:
            check_file(file)
            result = Result.load(file)
            rows = rows_of(str(file), result)
        except DataError as error:
            skipped.append((file, str(error)))
            continue
        first = found.setdefault(identity(result), (file, result, rows))
        if first[0] != file:
            repeated.append(file)
            if (first[1].rows, first[1].chance) != (result.rows, result.chance):
                contradictions.append((first[0], file))
    found = dict(sorted(found.items(), key=lambda item: [(len(part), part) for part in item[1][0].parts]))
    configs = {key: flatten(result.config) for key, (_, result, _) in found.items()}
    return Collection(
        frame=to_frame([row for _, _, rows in found.values() for row in rows], configs),
        configs=configs,
        results={key: (file, result) for key, (file, result, _) in found.items()},
        repeated=tuple(repeated),
        contradictions=tuple(contradictions),
        skipped=tuple(sorted(skipped)),
        missing=tuple(missing_jobs(jobs, sweeps, [(file, result.config) for file, result, _ in found.values()])),
    )


def card_files(root: Path) -> list[Path]:
    """Files in folders `cards` at any depth; folders that cannot be looked into are told by `collect`."""
    return [
        folder / name
        for folder, _, names in walk(root, [])
        if folder.name == CARDS
        for name in sorted(names)
        if name.endswith(".json")
    ]


def find_cards(root: Path, progress: Progress = iter) -> tuple[list[Card], Skipped]:
    """Every card below a folder, equal ones once, and the files that could not be read with the reason."""
    cards: dict[str, Card] = {}
    skipped: Skipped = []
    for file in progress(card_files(root)):
        try:
            card = load_card(file)
            cards.setdefault(digest_json(asdict(card) | {"seconds": 0, "overrides": []}), card)
        except DataError as error:
            skipped.append((file, str(error)))
    return list(cards.values()), skipped


def load_card(file: Path) -> Card:
    """Read a card that a table can hold.

    Raises:
        DataError: If it cannot be read, is too large to be one, or lacks what a table needs.
    """
    check_file(file, LARGEST_CARD)
    card = Card.load(file)
    for part, content, keys in (
        ("data", card.data, ("name", "split_hash")),
        ("target", card.target, ("name", "code_length")),
    ):
        for key in keys:
            if not isinstance(content.get(key), str | int):
                raise DataError(f"{file} is no card that can be tabulated: {part}.{key} is {content.get(key)!r:.80}")
    return card


def walk(root: Path, skipped: Skipped) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Every folder once, whatever links lead to it, with its folders and files; what cannot be read is `skipped`."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # renamed by a run that goes on meanwhile
            skipped.append((Path(error.filename), f"cannot look into {error.filename}: {error.strerror}"))

    seen = set()
    for name, folders, files in os.walk(root, onerror=unreadable, followlinks=True):
        try:
            status = Path(name).stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort(key=lambda folder: (len(folder), folder))  # job 2 before job 10
        yield Path(name), list(folders), files


def _age(file: Path) -> tuple[int, Path]:
    """Sorts the newest files first; links that lead nowhere last."""
    try:
        return -file.stat().st_mtime_ns, file
    except OSError:
        return 0, file


def check_file(file: Path, largest: int | None = None) -> None:
    """Refuse what cannot be read to its end.

    Args:
        file: To be read.
        largest: Bytes; None for `LARGEST`.

    Raises:
        DataError: If it is no regular file, or has more bytes.
    """
    largest = LARGEST if largest is None else largest
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"cannot read the result {file}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise DataError(f"{file} is no regular file")
    if status.st_size > largest:
        raise DataError(f"{file} has {status.st_size:,} bytes, what belongs there at most {largest:,}")
