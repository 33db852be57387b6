"""W&B without an account: its run files are read back, which hold what would be sent."""

import json
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto import wandb_internal_pb2


@dataclass
class WrittenRun:
    """What one run file holds."""

    run: Any  # wandb_internal_pb2.RunRecord
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)  # metric or pattern to the metric that counts its steps
    artifacts: list[dict[str, Path]] = field(default_factory=list)  # name inside to file
    exit_code: int | None = None

    def curve(self, name: str, axis: str) -> list[tuple[int, float]]:
        return [(row[axis], row[name]) for row in self.history if name in row]


def leave_account(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No key, no network, nothing of the person who runs this."""
    for name in ("API_KEY", "IDENTITY_TOKEN_FILE", "RUN_ID", "PROJECT", "RUN_GROUP", "SWEEP_ID", "DATA_DIR", "SILENT"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    for name in ("CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(folder))
    wandb.teardown()  # it reads its settings once a process


def records(file: Path) -> list[wandb_internal_pb2.Record]:
    """Read a run file: a header of 7 bytes, then LevelDB's log format (records cut at blocks of 32 KiB)."""
    data, position, found, open_record = file.read_bytes(), 7, [], b""
    while position + 7 <= len(data):
        rest = -position % 2**15
        if 0 < rest < 7:
            position += rest
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        open_record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(wandb_internal_pb2.Record.FromString(open_record))
            open_record = b""
    return found


def finished_records(file: Path) -> list[wandb_internal_pb2.Record]:
    """W&B's service may write the end of an offline run after `finish` has returned."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = records(file)
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{file} has no end")


def items(updates: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in updates}


def written_run(file: Path) -> WrittenRun:
    """Read the file of a run that has been closed."""
    content = finished_records(file)
    read = WrittenRun(next(record.run for record in content if record.HasField("run")))
    read.config = items(read.run.config.update)
    for record in content:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            read.history.append(items(record.history.item))
        elif kind == "summary":
            read.summary |= items(record.summary.update)
        elif kind == "metric":
            read.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact":
            read.artifacts.append({entry.path: Path(entry.local_path) for entry in record.artifact.manifest.contents})
        elif kind == "exit":
            read.exit_code = record.exit.exit_code
    return read


def run_files(folder: Path) -> list[Path]:
    """Run files below a folder, in the order of their start."""
    return sorted(folder.rglob("run-*.wandb"), key=lambda file: file.stat().st_mtime_ns)
