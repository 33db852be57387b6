import pickle
from pathlib import Path

import pytest

from aach_lightning.errors import AachError, StoreError, mark_reported, sendable
from aach_lightning.runtime.failures import ERROR, forget_failure, keep_failure


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_the_first_traceback_stays(tmp_path: Path) -> None:
    keep_failure(tmp_path, raised(ZeroDivisionError("the cause")))
    keep_failure(tmp_path, raised(RuntimeError("connection closed")))
    text = (tmp_path / ERROR).read_text()
    assert text.startswith("Traceback")
    assert text.endswith("ZeroDivisionError: the cause\n")
    assert "in raised" in text
    forget_failure(tmp_path)
    assert not (tmp_path / ERROR).exists()
    forget_failure(tmp_path)


def test_what_another_process_tells_is_not_kept(tmp_path: Path) -> None:
    error = StoreError("told by the first process")
    mark_reported(error)
    keep_failure(tmp_path, error)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_does_not_hide_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep_failure(tmp_path / "file" / "folder", ValueError("the error"))


class TwoArgumentsError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} of {second}")


def test_errors_that_cannot_be_unpickled_are_sent_as_text() -> None:
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(TwoArgumentsError(1, 2)))
    sent = sendable(TwoArgumentsError(1, 2))
    assert isinstance(sent, AachError)
    assert str(pickle.loads(pickle.dumps(sent))) == "TwoArgumentsError: 1 of 2"
    error = StoreError("as it is")
    assert sendable(error) is error
