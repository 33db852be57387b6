"""Image files that a pack names in a list."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from aach_lightning.errors import DataError

_TRIED = 20  # names of the list from which the author's folder is told; the very first can be missing


def find_files(names: Sequence[str], folder: Path, where: str) -> tuple[Path, ...]:
    """Find listed images below a folder; leading folders of the author's machine are dropped, of all names alike.

    Args:
        names: Paths as the list gives them, separated by slashes of either kind.
        folder: Where the images are.
        where: For messages.

    Returns:
        One path a name; a missing file is found out when it is decoded.

    Raises:
        DataError: If a name is empty or leaves the folder.
    """
    parts = [_parts(name, where) for name in names]
    dropped = next(
        (count for some in parts[:_TRIED] for count in range(len(some)) if folder.joinpath(*some[count:]).is_file()), 0
    )
    root = folder.resolve()
    files = []
    for name, some in zip(names, parts, strict=True):
        file = folder.joinpath(*(some[dropped:] or some[-1:]))
        if not file.resolve().is_relative_to(root):
            raise DataError(f"{where}: image {name!r} leaves the folder {folder}")
        files.append(file)
    return tuple(files)


def _parts(name: str, where: str) -> tuple[str, ...]:
    parts = tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part != "/")
    if not parts or ".." in parts or "\0" in name:
        raise DataError(f"{where}: {name!r} is no path of an image below the folder of images")
    return parts
