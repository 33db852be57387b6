import pytest

from aach_lightning.runtime.rank import is_rank_zero


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"RANK": "0"}, True),
        ({"RANK": "3"}, False),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "2"}, False),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),  # the first process of the second machine
        ({"SLURM_PROCID": "4", "LOCAL_RANK": "0"}, False),
        ({"RANK": "0", "SLURM_PROCID": "1", "LOCAL_RANK": "1"}, True),
    ],
)
def test_rank_zero(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], first: bool) -> None:
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_rank_zero() is first
