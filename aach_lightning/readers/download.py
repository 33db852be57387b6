"""Large files over HTTP that arrive whole: resumed after dropped connections, checked, and renamed at the end."""

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from aach_lightning.errors import DataError, StoreError
from aach_lightning.readers.sources import Checksum, Source
from aach_lightning.runtime.files import disk_errors, write_json

_BLOCK = 2**20
_TIMEOUT = 60  # seconds without a byte
_PERMANENT = (400, 401, 403, 404, 405, 410, 451)

Advance = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes of the whole file."""


def fetch(source: Source, path: Path, advance: Advance, attempts: int = 8, pause: float = 1.0) -> str:
    """Fetch one archive, or go on with what an earlier call has left of it.

    The bytes lie in `path` + ".part" until they are whole and checked. The rest is asked for with Range and If-Range,
    so that a file which changed on the server starts anew.

    Args:
        source: What to fetch.
        path: Where the file shall be; a file there is checked like a fetched one.
        advance: Told about the progress.
        attempts: Failures in a row, without a new byte, before giving up.
        pause: Seconds to wait after the first failure; doubled with each further one, up to a minute.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        DataError: If the server refuses, keeps failing, or sends something else than the source states; a file that
            does not match is deleted.
        StoreError: If the disk is too small.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"), disk_errors(path):
        part, state = Path(f"{path}.part"), Path(f"{path}.part.json")
        if path.exists():
            return _checked(source, path)
        failures = 0
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _fetch_rest(source, part, state, advance)
                break
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code} {error.reason}"
                error.close()
                if error.code in _PERMANENT:
                    raise DataError(f"{source.url}: {reason}. Look for a new address of {source.file_name}.") from error
            except (http.client.HTTPException, urllib.error.URLError, ConnectionError, TimeoutError) as error:
                reason = f"{type(error).__name__}: {error}"
            arrived = part.stat().st_size if part.exists() else 0
            failures = 1 if arrived > before else failures + 1
            if failures >= attempts:
                raise DataError(
                    f"{source.url}: gave up after {attempts} failures in a row ({reason}). What has arrived is kept: "
                    f"run the same command again to go on."
                )
            time.sleep(min(60.0, pause * 2 ** (failures - 1)))
        checksum = _checked(source, part)
        part.replace(path)
        state.unlink(missing_ok=True)
    return checksum


def _fetch_rest(source: Source, part: Path, state: Path, advance: Advance) -> None:
    """Ask once for all that is missing.

    Raises:
        OSError, http.client.HTTPException: If the connection fails before the end.
    """
    validator = _validator(state, source.url)
    have = part.stat().st_size if part.exists() and validator else 0
    request = urllib.request.Request(source.url, headers={"Accept-Encoding": "identity"})
    if have and validator:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()  # nothing lies behind the bytes that are here: either all is here, or the file has changed
        if have == source.size:
            return
        state.unlink(missing_ok=True)
        raise http.client.HTTPException("the server has no such range") from error
    with response:
        start = _range_start(response.headers.get("Content-Range"))
        if response.status != 206:
            start = 0
        elif start != have:
            state.unlink(missing_ok=True)
            raise http.client.HTTPException(f"asked for bytes from {have:,}, got {start}")
        length = response.headers.get("Content-Length")
        total = have + int(length) if start else int(length) if length else None
        if source.size is not None and total is not None and total != source.size:
            raise DataError(f"{source.url}: {total:,} bytes on the server instead of {source.size:,}: another file")
        whole = source.size or total
        _room(part, whole, start)
        # a weak ETag does not vouch for bytes
        etag = response.headers.get("ETag", "")
        found = etag if etag.startswith('"') else response.headers.get("Last-Modified")
        write_json(state, {"url": source.url, "validator": found})
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            _copy(response, file, start, whole, advance)


def _copy(response: http.client.HTTPResponse, file: BinaryIO, have: int, whole: int | None, advance: Advance) -> None:
    while block := response.read1(_BLOCK):
        have += len(block)
        if whole is not None and have > whole:
            raise DataError(f"more than the {whole:,} bytes that were expected arrived: another file")
        file.write(block)
        advance(have, whole or have)
    if whole is not None and have < whole:
        raise http.client.HTTPException(f"the connection ended after {have:,} of {whole:,} bytes")


def _range_start(header: str | None) -> int:
    """First byte of `Content-Range: bytes 100-199/200`; -1 where it cannot be read."""
    try:
        return int((header or "").removeprefix("bytes ").split("-")[0])
    except ValueError:
        return -1


def _validator(state: Path, url: str) -> str | None:
    try:
        content = json.loads(state.read_text())
        return str(content["validator"]) if content["url"] == url and content["validator"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _room(part: Path, whole: int | None, have: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if whole is not None and whole - have > free:
        raise StoreError(f"{part}: {whole - have:,} bytes are still to come and {free:,} are free: free some space")


def _checked(source: Source, path: Path) -> str:
    """Compare size, checksum and (without a checksum) the zip's own CRCs; return the SHA-256."""
    size = path.stat().st_size
    known = source.checksum or Checksum("sha256", "", "")
    with path.open("rb") as file:
        own = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        found = own if known.algorithm == "sha256" else hashlib.file_digest(file, known.algorithm).hexdigest()
    wrong = None
    if source.size is not None and size != source.size:
        wrong = f"{size:,} bytes instead of {source.size:,}"
    elif source.checksum is not None and found != known.value:
        wrong = f"{known.algorithm} {found} instead of {known.value} (from {known.origin})"
    elif source.checksum is None:
        wrong = _damaged_member(path)
    if wrong is not None:
        path.unlink()
        raise DataError(f"{path} from {source.url} is damaged and was deleted: {wrong}. Run the same command again.")
    return own


def _damaged_member(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            name = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return f"not a whole zip archive: {error}"
    return None if name is None else f"member {name!r} does not match its CRC"
