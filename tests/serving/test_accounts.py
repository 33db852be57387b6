import subprocess
import sys
from dataclasses import replace

import pytest

from aach_lightning.config.answer import AnswerConfig
from aach_lightning.config.choices import AnswerName
from aach_lightning.config.serving import ServeConfig, ServingConfig
from aach_lightning.config.walk import value_mistakes
from aach_lightning.errors import ConfigError
from aach_lightning.serving.accounts import Account, keys_from_environment
from aach_lightning.serving.request_error import RequestError
from aach_lightning.serving.serve import serve
from tests.serving.conftest import LIMITS


def test_an_account_refills_at_its_rate_and_never_above_its_burst() -> None:
    now = [100.0]
    account = Account(replace(LIMITS, rate=2.0, burst=3), clock=lambda: now[0])
    for _ in range(3):
        account.admit()
    with pytest.raises(RequestError) as refused:
        account.admit()
    assert (refused.value.status, refused.value.retry_after) == (429, 0.5)
    now[0] += 0.5
    account.admit()
    now[0] += 1000
    for _ in range(3):
        account.admit()
    with pytest.raises(RequestError):
        account.admit()


def test_what_was_charged_for_a_failure_can_be_spent_again() -> None:
    account = Account(replace(LIMITS, quota=3))
    with pytest.raises(KeyError), account.charge(2):  # noqa: PT012
        with pytest.raises(RequestError, match="2 items were asked for, 1 are left"), account.charge(2):
            pytest.fail("it was let in")
        raise KeyError
    with account.charge(3):
        pass
    assert (account.remaining, account.charged) == (0, 3)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AACH_API_KEYS", f" {'a' * 16}, {'b' * 20},")
    assert keys_from_environment() == ["a" * 16, "b" * 20]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "needs keys"),
        (" , ", "needs keys"),
        ("short", "has 5 characters"),
        ("a" * 16 + "," + "a" * 16, "repeated"),
        ("a b" * 8, "without spaces"),
        ("é" * 16, "ASCII"),
    ],
)
def test_keys_that_are_none(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("AACH_API_KEYS", value)
    with pytest.raises(ConfigError, match=said):
        keys_from_environment()


def test_wrong_limits_are_all_named() -> None:
    for limits in (LIMITS, replace(LIMITS, quota=1)):
        assert list(value_mistakes(ServingConfig("127.0.0.1", 0, limits))) == []
    wrong = ServingConfig("127.0.0.1", 65536, replace(LIMITS, quota=0, rate=0.0, items=-1))
    found = [line.partition(":")[0] for line in value_mistakes(wrong, "serving.")]
    assert found == [
        "serving.port=65536",
        "serving.limits.quota=0",
        "serving.limits.rate=0.0",
        "serving.limits.items=-1",
    ]


def test_a_service_answers_with_codes_alone() -> None:
    answer = AnswerConfig(name=AnswerName.topk, gallery=9, k=3)
    with pytest.raises(ConfigError, match="answer=topk: a service answers with codes"):
        serve(ServeConfig(answer=answer, serving=ServingConfig("127.0.0.1", 0, LIMITS)))


def test_the_former_name_of_the_command_says_the_new_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aach_lightning.targets.serve", "--cfg", "job", "-p", "serving"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "python -m aach_lightning.targets.serve is now python -m aach_lightning.serving\n"
    assert "port: 8080" in done.stdout
