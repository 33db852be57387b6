import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from aach_lightning.errors import DataError, StoreError
from aach_lightning.readers import command, download
from aach_lightning.readers.download import fetch
from aach_lightning.readers.sources import SOURCES, Checksum, Source

NOISE = np.random.default_rng(0).bytes(300_000)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = zipped({"top/noise": NOISE, "top/sub/text": b"text"})


@dataclass
class Web:
    """A server on this machine whose faults a test chooses.

    Attributes:
        content: What it serves.
        etag, modified: The validators it gives; "" for none.
        ranges: Whether it answers Range.
        drop: Bytes after which each connection ends, one entry for each request; the last one stays.
        status: Sent instead of an answer, one entry for each request.
        length: Whether it states the length.
        requests: The Range and If-Range headers that it was sent.
    """

    content: bytes = ARCHIVE
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    drop: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    length: bool = True
    requests: list[tuple[str | None, str | None]] = field(default_factory=list)
    url: str = ""

    def source(self, **changes: object) -> Source:
        values = {"url": self.url, "folder": "out", "size": None, "checksum": None, **changes}
        return Source(**values)  # type: ignore[arg-type]


def handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked, if_range = self.headers["Range"], self.headers["If-Range"]
            web.requests.append((asked, if_range))
            if web.status:
                self.send_response(web.status.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and web.ranges else 0
            if start and if_range not in (web.etag, web.modified):
                start = 0
            if start and start >= len(web.content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = web.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(web.content) - 1}/{len(web.content)}")
            for name, value in (("ETag", web.etag), ("Last-Modified", web.modified)):
                if value:
                    self.send_header(name, value)
            if web.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if web.drop:
                body = body[: web.drop.pop(0) if len(web.drop) > 1 else web.drop[0]]
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    return Handler


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("no_proxy", "*")
    found = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(found))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/x.zip"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def get(source: Source, folder: Path, attempts: int = 4, advance: Callable[[int, int], None] | None = None) -> str:
    return fetch(source, folder / "x.zip", advance or (lambda *_: None), attempts, pause=0)


def whole(folder: Path, found: str) -> None:
    assert (folder / "x.zip").read_bytes() == ARCHIVE
    assert found == hashlib.sha256(ARCHIVE).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) in (["x.zip"], ["x.zip", "x.zip.lock"])


def test_whole_file_and_progress(tmp_path: Path, web: Web) -> None:
    seen: list[tuple[int, int]] = []
    whole(tmp_path, get(web.source(), tmp_path, advance=lambda *state: seen.append(state)))
    assert web.requests == [(None, None)]
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert [have for have, _ in seen] == sorted(have for have, _ in seen)


def test_dropped_connections_are_resumed(tmp_path: Path, web: Web) -> None:
    web.drop = [100_000, 50_000, 70_000, 10**9]
    whole(tmp_path, get(web.source(), tmp_path))
    places = [100_000, 150_000, 220_000]
    assert web.requests == [(None, None), *((f"bytes={place}-", '"one"') for place in places)]


def test_a_later_call_goes_on(tmp_path: Path, web: Web) -> None:
    web.drop = [100_000, 0]
    with pytest.raises(DataError, match=r"gave up after 2 failures.*run the same command again"):
        get(web.source(), tmp_path, attempts=2)
    assert not (tmp_path / "x.zip").exists()
    web.drop, web.requests = [], []
    whole(tmp_path, get(web.source(), tmp_path))
    assert web.requests == [("bytes=100000-", '"one"')]


def test_last_modified_where_the_etag_is_weak(tmp_path: Path, web: Web) -> None:
    web.etag, web.modified = 'W/"one"', formatdate(10**9, usegmt=True)
    web.drop = [100_000, 10**9]
    whole(tmp_path, get(web.source(), tmp_path))
    assert web.requests[1] == ("bytes=100000-", web.modified)


def test_nothing_is_resumed_without_a_validator(tmp_path: Path, web: Web) -> None:
    web.etag = ""
    web.drop = [100_000, 10**9]
    whole(tmp_path, get(web.source(), tmp_path))
    assert web.requests == [(None, None)] * 2


def test_server_that_ignores_range(tmp_path: Path, web: Web) -> None:
    web.ranges = False
    web.drop = [200_000, 100_000, 10**9]
    whole(tmp_path, get(web.source(), tmp_path))
    assert web.requests[1][0] == "bytes=200000-"


def test_file_that_changed_on_the_server(tmp_path: Path, web: Web) -> None:
    old = bytes(200_000)
    web.content, web.etag, web.drop = old, '"old"', [150_000, 0]
    with pytest.raises(DataError, match="gave up"):
        get(web.source(), tmp_path, attempts=2)
    web.content, web.etag, web.drop = ARCHIVE, '"one"', []
    whole(tmp_path, get(web.source(), tmp_path))
    assert web.requests[-1] == ("bytes=150000-", '"old"')


def test_all_bytes_were_here_already(tmp_path: Path, web: Web) -> None:
    """Killed between the last byte and the rename: the server has nothing behind it."""
    (tmp_path / "x.zip.part").write_bytes(ARCHIVE)
    (tmp_path / "x.zip.part.json").write_text(f'{{"url": "{web.url}", "validator": "\\"one\\""}}')
    whole(tmp_path, get(web.source(size=len(ARCHIVE)), tmp_path))
    assert web.requests == [(f"bytes={len(ARCHIVE)}-", '"one"')]


@pytest.mark.parametrize("state", ["", "{", "[]", '{"url": "http://other/x.zip", "validator": "\\"one\\""}'])
def test_part_of_unknown_origin_is_not_used(tmp_path: Path, web: Web, state: str) -> None:
    (tmp_path / "x.zip.part").write_bytes(b"x" * 1000)
    (tmp_path / "x.zip.part.json").write_text(state)
    whole(tmp_path, get(web.source(), tmp_path))
    assert web.requests == [(None, None)]


def test_busy_server(tmp_path: Path, web: Web) -> None:
    web.status = [503, 429, 500]
    whole(tmp_path, get(web.source(), tmp_path))
    assert len(web.requests) == 4


@pytest.mark.parametrize("status", [404, 403, 410])
def test_refusals_are_not_repeated(tmp_path: Path, web: Web, status: int) -> None:
    web.status = [status, status]
    with pytest.raises(DataError, match=f"{web.url}: HTTP {status}"):
        get(web.source(), tmp_path)
    assert len(web.requests) == 1


def test_nobody_listens(tmp_path: Path, web: Web) -> None:
    with pytest.raises(DataError, match="gave up after 3"):
        get(web.source(url="http://127.0.0.1:9/x.zip"), tmp_path, attempts=3)


@pytest.mark.parametrize(
    ("proof", "place"),
    # the last two bytes are the length of the zip's comment, which no CRC covers
    [(proof, place) for proof in ("sha256", "md5", "crc") for place in (0, 60, 150_000, -200, -1)][:-1],
)
def test_corrupted_bytes(tmp_path: Path, web: Web, proof: str, place: int) -> None:
    changed = bytearray(ARCHIVE)
    changed[place] ^= 1
    web.content = bytes(changed)
    value = hashlib.new(proof if proof != "crc" else "md5", ARCHIVE).hexdigest()
    checksum = None if proof == "crc" else Checksum(proof, value, "this test")
    with pytest.raises(DataError, match=r"damaged and was deleted.*Run the same command again"):
        get(web.source(size=len(ARCHIVE), checksum=checksum), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"x.zip.lock", "x.zip.part.json"}
    web.content = ARCHIVE
    whole(tmp_path, get(web.source(size=len(ARCHIVE), checksum=checksum), tmp_path))


@pytest.mark.parametrize("length", [True, False])
def test_other_size_than_published(tmp_path: Path, web: Web, length: bool) -> None:
    web.length = length
    with pytest.raises(DataError, match="bytes"):
        get(web.source(size=len(ARCHIVE) - 1), tmp_path)
    assert not (tmp_path / "x.zip").exists()


def test_cut_off_where_no_length_is_stated(tmp_path: Path, web: Web) -> None:
    web.length, web.drop = False, [200_000]
    with pytest.raises(DataError, match="not a whole zip archive"):
        get(web.source(), tmp_path)


def test_file_that_is_there_is_checked_and_kept(tmp_path: Path, web: Web) -> None:
    (tmp_path / "x.zip").write_bytes(ARCHIVE)
    whole(tmp_path, get(web.source(size=len(ARCHIVE)), tmp_path))
    (tmp_path / "x.zip").write_bytes(ARCHIVE[:-1])
    with pytest.raises(DataError, match=f"{len(ARCHIVE) - 1:,} bytes instead of {len(ARCHIVE):,}"):
        get(web.source(size=len(ARCHIVE)), tmp_path)
    assert web.requests == []


def test_small_disk(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": len(ARCHIVE) - 1})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match="free some space"):
        get(web.source(), tmp_path)


def test_command_fetches_unpacks_and_says_how_to_go_on(
    tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    web.drop = [100_000, 10**9]
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    monkeypatch.setitem(SOURCES, "mirflickr25k", (web.source(),))
    arguments = ["download", "mirflickr25k", "--to", str(tmp_path / "data")]
    assert command.main(arguments) == 0
    assert (tmp_path / "data" / "out" / "noise").read_bytes() == NOISE
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["out"]
    shown = "".join(capsys.readouterr().out.split())
    assert hashlib.sha256(ARCHIVE).hexdigest() in shown
    assert f"data=mirflickr25kdata.root={tmp_path / 'data'}" in shown
    asked = len(web.requests)
    assert command.main(arguments) == 0
    assert "already there" in capsys.readouterr().out
    assert len(web.requests) == asked


def test_command_refuses_an_archive_that_leaves_its_folder(
    tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    web.content = zipped({"good": b"1", "../../evil": b"2"})
    monkeypatch.setitem(SOURCES, "mscoco", (web.source(),))
    assert command.main(["download", "mscoco", "--to", str(tmp_path / "a" / "data")]) == 1
    assert "leaves the folder" in capsys.readouterr().err
    assert not list(tmp_path.rglob("evil"))
    assert not list(tmp_path.rglob("good"))


def test_published_checksums_are_well_formed() -> None:
    for sources in SOURCES.values():
        for source in sources:
            assert source.url.startswith(("http://", "https://"))
            assert source.file_name.endswith(".zip")
            if source.checksum is not None:
                assert len(source.checksum.value) == 2 * hashlib.new(source.checksum.algorithm).digest_size
                assert bytes.fromhex(source.checksum.value)
                assert source.checksum.origin
