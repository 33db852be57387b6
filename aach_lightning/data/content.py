"""What is in a large file, read once and remembered until the file changes."""

import hashlib
import json
from pathlib import Path

from aach_lightning.errors import DataError
from aach_lightning.runtime.files import digest, write_json

_BLOCK = 2**24


def content_key(path: Path, cache: Path) -> str:
    """Hash of a file's content; a later call reads it again only when its size or time of change differs.

    Args:
        path: The file.
        cache: Folder in which the hash is kept.

    Raises:
        DataError: If the file cannot be read.
    """
    kept = cache / "contents" / f"{digest(str(path.resolve()).encode())}.json"
    try:
        status = path.stat()
        seen = [status.st_size, status.st_mtime_ns]
        if kept.is_file():
            try:
                known = json.loads(kept.read_text())
                if known["seen"] == seen:
                    return str(known["content"])
            except (ValueError, KeyError, TypeError):
                pass  # damaged: it is read anew
        state = hashlib.blake2b(digest_size=16)
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
    except OSError as error:
        raise DataError(f"{path}: {error}") from error
    write_json(kept, {"seen": seen, "content": state.hexdigest()})
    return state.hexdigest()
