import errno
import hashlib
import logging
import os
import random
import resource
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aach_lightning.errors import StoreError
from aach_lightning.targets.answers import CodeAnswers
from aach_lightning.targets.ledger import Ledger, LedgerDamaged, LedgerError, LedgerMismatch

CODE_LENGTH = 12  # 2 bytes a code; the payload is padded to the 16 bytes of a run
HEADER_SIZE = 46
RECORD_SIZE = 1 + 17 + 16 + 8


def key(number: int) -> bytes:
    return b"P" + number.to_bytes(16, "big")


def codes(number: int) -> bytes:
    return number.to_bytes(4, "big")


def opened(path: Path, identity: str = "target", code_length: int = CODE_LENGTH) -> Ledger:
    ledger = Ledger(path, code_length, identity)
    with ledger.locked():
        pass
    return ledger


def answer_of(ledger: Ledger, number: int) -> bytes:
    return ledger.answers[key(number)][:4]


def filled(path: Path) -> list[bytes]:
    """A ledger of two claims, two answers and one claim; returns the header and each record."""
    ledger = Ledger(path, CODE_LENGTH, "target")
    with ledger.locked():
        ledger.claim("first", [key(1), key(2)])
        ledger.record({key(1): codes(1), key(2): codes(2)})
    with ledger.locked():
        ledger.claim("second", [key(2)])
    data = path.read_bytes()
    return [data[:HEADER_SIZE]] + [data[at : at + RECORD_SIZE] for at in range(HEADER_SIZE, len(data), RECORD_SIZE)]


def test_the_file_is_what_its_description_says(tmp_path: Path) -> None:
    header, *records = filled(tmp_path / "ledger")
    first, second, target = (
        hashlib.blake2b(name, digest_size=16).digest() for name in (b"first", b"second", b"target")
    )
    fields = struct.pack("<8sHI16s", b"AACHLDGR", 1, CODE_LENGTH, target)
    assert header == fields + hashlib.blake2b(fields, digest_size=16).digest()
    bodies = [
        b"C" + key(1) + first,
        b"C" + key(2) + first,
        b"A" + key(1) + codes(1) + bytes(12),
        b"A" + key(2) + codes(2) + bytes(12),
        b"C" + key(2) + second,
    ]
    checksum = header[-8:]
    for record, body in zip(records, bodies, strict=True):
        checksum = hashlib.blake2b(checksum + body, digest_size=8).digest()
        assert record == body + checksum


def test_another_process_reads_what_was_written(tmp_path: Path) -> None:
    filled(tmp_path / "ledger")
    ledger = opened(tmp_path / "ledger")
    assert ledger.claimed("first") == {key(1), key(2)}
    assert ledger.claimed("second") == {key(2)}
    assert ledger.claimed("third") == set()
    assert ledger.paid == 2
    assert (answer_of(ledger, 1), answer_of(ledger, 2)) == (codes(1), codes(2))


def test_an_open_ledger_sees_what_another_appends(tmp_path: Path) -> None:
    reader, writer = opened(tmp_path / "ledger"), opened(tmp_path / "ledger")
    for number in range(5):
        with writer.locked():
            writer.claim("run", [key(number)])
        with reader.locked():
            assert reader.paid == number + 1
        reader, writer = writer, reader


@pytest.mark.parametrize("last", ["claim", "answer"])
def test_a_last_record_cut_at_any_byte_is_removed(tmp_path: Path, last: str, caplog: pytest.LogCaptureFixture) -> None:
    parts = filled(tmp_path / "whole")
    whole = b"".join(parts if last == "claim" else parts[:-1])
    rest = len(whole) - RECORD_SIZE
    path = tmp_path / "cut"
    for kept in range(rest + 1, len(whole)):
        path.write_bytes(whole[:kept])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            ledger = opened(path)
        assert f"removing {kept - rest} bytes" in caplog.text
        assert path.read_bytes() == whole[:rest]
        assert ledger.claimed("first") == {key(1), key(2)}
        assert ledger.claimed("second") == set()
        assert set(ledger.answers) == ({key(1), key(2)} if last == "claim" else {key(1)})
        with ledger.locked():
            ledger.claim("second", [key(9)])
        assert opened(path).claimed("second") == {key(9)}


def test_a_cut_between_records_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = filled(tmp_path / "ledger")
    (tmp_path / "ledger").write_bytes(b"".join(parts[:3]))
    assert opened(tmp_path / "ledger").claimed("first") == {key(1), key(2)}
    assert not caplog.records


def test_a_wrong_byte_in_the_last_record_removes_it(tmp_path: Path) -> None:
    whole = b"".join(filled(tmp_path / "ledger"))
    path = tmp_path / "ledger"
    for position in range(len(whole) - RECORD_SIZE, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert opened(path).claimed("second") == set()
        assert path.read_bytes() == whole[:-RECORD_SIZE]


def test_a_wrong_byte_anywhere_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    whole = b"".join(filled(tmp_path / "ledger"))
    path = tmp_path / "ledger"
    for position in range(len(whole) - RECORD_SIZE):
        damaged = whole[:position] + bytes([whole[position] ^ 0x80]) + whole[position + 1 :]
        path.write_bytes(damaged)
        with pytest.raises(LedgerDamaged) as caught:
            opened(path)
        number = (position - HEADER_SIZE) // RECORD_SIZE
        start = HEADER_SIZE + number * RECORD_SIZE
        place = "bytes 0 to 45" if position < HEADER_SIZE else f"record {number}, which begins at byte {start}"
        assert place in str(caught.value)
        assert str(path) in str(caught.value)
        assert "Put a backup of the file back, or move it away" in str(caught.value)
        assert path.read_bytes() == damaged


@pytest.mark.parametrize("order", [[0, 2, 1, 3, 4], [0, 2, 3, 4], [0, 1, 1, 2, 3, 4], [1, 2, 3, 4]])
def test_moved_dropped_and_repeated_records_are_refused(tmp_path: Path, order: list[int]) -> None:
    header, *records = filled(tmp_path / "ledger")
    (tmp_path / "ledger").write_bytes(header + b"".join(records[number] for number in order))
    with pytest.raises(LedgerDamaged):
        opened(tmp_path / "ledger")


def test_records_of_another_target_are_refused(tmp_path: Path) -> None:
    own = filled(tmp_path / "ledger")
    other = Ledger(tmp_path / "other", CODE_LENGTH, "another")
    with other.locked():
        other.claim("first", [key(1), key(2)])
    spliced = own[0] + (tmp_path / "other").read_bytes()[HEADER_SIZE:]
    (tmp_path / "ledger").write_bytes(spliced)
    with pytest.raises(LedgerDamaged, match="record 0"):
        opened(tmp_path / "ledger")


@pytest.mark.parametrize("zeros", [1, RECORD_SIZE - 1, RECORD_SIZE, 3 * RECORD_SIZE + 5, 4096])
@pytest.mark.parametrize("kept", [0, 20])
def test_room_that_was_never_filled_is_removed(tmp_path: Path, zeros: int, kept: int) -> None:
    parts = filled(tmp_path / "ledger")
    whole = b"".join(parts[:-1])
    (tmp_path / "ledger").write_bytes(whole + parts[-1][:kept] + bytes(zeros))
    assert opened(tmp_path / "ledger").claimed("second") == set()
    assert (tmp_path / "ledger").read_bytes() == whole


def test_zeros_before_a_record_are_refused(tmp_path: Path) -> None:
    parts = filled(tmp_path / "ledger")
    (tmp_path / "ledger").write_bytes(b"".join(parts[:-1]) + bytes(RECORD_SIZE) + parts[-1])
    with pytest.raises(LedgerDamaged, match="record 4"):
        opened(tmp_path / "ledger")


@pytest.mark.parametrize(("identity", "code_length"), [("another", CODE_LENGTH), ("target", 11), ("target", 128)])
def test_the_ledger_of_another_target_is_refused(tmp_path: Path, identity: str, code_length: int) -> None:
    filled(tmp_path / "ledger")
    before = (tmp_path / "ledger").read_bytes()
    with pytest.raises(LedgerMismatch, match=f"code length 12 .* this target has code length {code_length} "):
        opened(tmp_path / "ledger", identity, code_length)
    assert (tmp_path / "ledger").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"AACHLDGR", b"a report that was saved under the wrong name " * 9])
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger").write_bytes(content)
    with pytest.raises(LedgerDamaged, match="does not begin like a ledger"):
        opened(tmp_path / "ledger")
    assert (tmp_path / "ledger").read_bytes() == content


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    fields = struct.pack("<8sHI16s", b"AACHLDGR", 2, CODE_LENGTH, bytes(16))
    (tmp_path / "ledger").write_bytes(fields + hashlib.blake2b(fields, digest_size=16).digest())
    with pytest.raises(LedgerDamaged, match="ledger of version 2, this program reads version 1"):
        opened(tmp_path / "ledger")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes() + b"more")
    copy.replace(path)


@pytest.mark.parametrize(("spoil", "message"), [(Path.unlink, "vanished"), (cut, "cut"), (replace, "replaced")])
def test_a_file_changed_behind_an_open_ledger_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    filled(tmp_path / "ledger")
    ledger = opened(tmp_path / "ledger")
    spoil(tmp_path / "ledger")
    with pytest.raises(LedgerDamaged, match=message), ledger.locked():
        pass


def test_a_claim_is_one_write_and_then_one_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened(tmp_path / "ledger")
    calls: list[str] = []
    real_write, real_fsync = os.write, os.fsync
    with ledger.locked():
        monkeypatch.setattr(os, "write", lambda *given: (calls.append("write"), real_write(*given))[1])
        monkeypatch.setattr(os, "fsync", lambda *given: (calls.append("fsync"), real_fsync(*given))[1])
        ledger.claim("run", [key(number) for number in range(500)])
        assert calls == ["write", "fsync"]


def test_a_new_ledger_and_its_folder_are_fsynced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, bool]] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synced.append((status.st_ino, stat.S_ISDIR(status.st_mode)))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    opened(tmp_path / "new" / "ledger")
    folder = tmp_path / "new"
    assert synced == [((folder / "ledger").stat().st_ino, False), (folder.stat().st_ino, True)]


def test_writing_needs_the_lock(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "ledger")
    with pytest.raises(RuntimeError, match="only inside locked"):
        ledger.claim("run", [key(1)])


@pytest.mark.parametrize("room", [0, 1, RECORD_SIZE, RECORD_SIZE + 7, 3 * RECORD_SIZE - 1])
def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    filled(tmp_path / "ledger")
    before = (tmp_path / "ledger").read_bytes()
    ledger = opened(tmp_path / "ledger")
    left = room
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real_write(descriptor, data[:left])
        left -= written
        return written

    with ledger.locked():
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(LedgerError, match=r"cannot reserve queries, nothing was sent \(No space left"):
                ledger.claim("first", [key(3), key(4), key(5)])
        assert (tmp_path / "ledger").read_bytes() == before
        assert ledger.claimed("first") == {key(1), key(2)}
        ledger.claim("first", [key(3)])
    assert opened(tmp_path / "ledger").claimed("first") == {key(1), key(2), key(3)}


def test_a_failed_fsync_reserves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "ledger")
    before = (tmp_path / "ledger").read_bytes()
    ledger = opened(tmp_path / "ledger")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with ledger.locked():
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(LedgerError, match="Input/output error"):
            ledger.claim("first", [key(3)])
    monkeypatch.undo()
    assert (tmp_path / "ledger").read_bytes() == before
    assert opened(tmp_path / "ledger").claimed("first") == {key(1), key(2)}


def test_a_file_size_limit_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    filled(tmp_path / "ledger")
    before = (tmp_path / "ledger").read_bytes()
    run = subprocess.run(
        [sys.executable, __file__, "limited", tmp_path / "ledger", str(len(before) + RECORD_SIZE + 3)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "refused\n", run.stderr
    assert (tmp_path / "ledger").read_bytes() == before


def test_no_room_for_a_new_ledger_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StoreError, match="No space left"):
            opened(tmp_path / "ledger")
    assert not (tmp_path / "ledger").exists()
    assert opened(tmp_path / "ledger").paid == 0


def test_a_link_to_a_ledger_has_the_same_lock(tmp_path: Path) -> None:
    filled(tmp_path / "ledger")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(tmp_path / "ledger")
    assert opened(tmp_path / "elsewhere" / "link").paid == 2
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["link"]


def test_four_processes_lose_no_record(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    workers = [subprocess.Popen([sys.executable, __file__, "hammer", path, str(number)]) for number in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 4
    ledger = opened(path)
    # Each worker claims its own 25 keys and the 50 that all share, and answers what nobody has answered before it.
    shared = {key(number) for number in range(50)}
    for number in range(4):
        own = {key(1000 * (number + 1) + step) for step in range(25)}
        assert ledger.claimed(f"run {number}") == own | shared
    assert ledger.paid == 4 * 25 + 50
    records = (path.stat().st_size - HEADER_SIZE) / RECORD_SIZE
    assert records == 4 * (25 + 50) + (4 * 25 + 50)  # claims and answers, each written once


@given(st.integers(1, 70), st.sampled_from([1, 2]), st.randoms(use_true_random=False))
def test_codes_survive_packing(code_length: int, parts: int, random: random.Random) -> None:
    written = np.array([[random.choice([-1, 1]) for _ in range(code_length)] for _ in range(parts)], np.int8)
    form = CodeAnswers(code_length)
    payload = form.pack(written)
    bits = "".join(f"{byte:08b}" for byte in payload)
    stride = len(bits) // parts
    expected = [[1 if bit == "1" else -1 for bit in bits[part * stride :][:code_length]] for part in range(parts)]
    assert written.tolist() == expected
    read = form.unpack(payload + bytes(30), parts)
    assert read.dtype == np.int8
    assert read.tolist() == expected


def limited(path: Path, size: int) -> None:
    ledger = opened(path)
    with ledger.locked():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            ledger.claim("first", [key(3), key(4), key(5)])
        except LedgerError:
            sys.stdout.write("refused\n")


def hammer(path: Path, number: int) -> None:
    ledger = Ledger(path, CODE_LENGTH, "target")
    steps = [key(1000 * (number + 1) + step) for step in range(25)] + [key(step) for step in range(50)]
    random.Random(number).shuffle(steps)
    for start in range(0, len(steps), 5):
        with ledger.locked():
            batch = steps[start : start + 5]
            ledger.claim(f"run {number}", batch)
            ledger.record({step: codes(number) for step in batch if step not in ledger.answers})


if __name__ == "__main__":
    {"limited": limited, "hammer": hammer}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
