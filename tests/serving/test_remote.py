"""A target behind HTTP gives the codes of the one in this process, at the same price, whatever the network does."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aach_lightning.config.method import HttpConfig
from aach_lightning.targets.blackbox import BlackBox, BudgetExceeded, EvaluationDoor
from aach_lightning.targets.remote import HttpTarget
from aach_lightning.targets.service import TargetError
from tests.serving.conftest import BITS, KEY, SIZE, WORDS, Projection, Serving
from tests.serving.faulty import FAULTS, FaultyProxy, faulty

OPTIONS: dict[str, Any] = {"timeout": 20.0, "attempts": 6, "backoff": 0.02, "connections": 3, "items": 5}


def client(url: str, key: str | None = KEY, **changes: Any) -> HttpTarget:
    return HttpTarget(HttpConfig(url=url, **{**OPTIONS, **changes}), BITS, key)


def pairs(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, SIZE, SIZE, generator=generator)
    return images, torch.randn(count, len(WORDS), generator=generator)


def black_box(target: Any, folder: Path, budget: int = 40) -> BlackBox:
    return BlackBox(target, BITS, budget, folder / "ledger", identity="projection", run="one", batch_size=16)


def test_both_doors_give_the_codes_of_the_target_in_this_process(serving: Serving, tmp_path: Path) -> None:
    images, texts = pairs(40)
    here = Projection()
    expected = black_box(here, tmp_path / "here").query(images, texts)
    door = black_box(client(serving.url), tmp_path / "there")
    answers = door.query(images, texts)
    assert all(torch.equal(*both) for both in zip(answers, expected, strict=True))
    assert (door.spent, serving.charged, serving.target.asked, here.asked) == (40, 80, 80, 80)
    door.query(images, texts)
    with pytest.raises(BudgetExceeded):
        door.query_images(images[:1].flip(-1))
    assert serving.charged == 80
    measured = EvaluationDoor(client(serving.url), BITS)
    assert torch.equal(measured.image_codes(images), expected[0])
    assert torch.equal(measured.text_codes(texts), expected[1])
    assert measured.items == 80
    assert client(serving.url).hash_images(images[:0]).shape == (0, BITS)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_survived_and_nothing_is_paid_twice(serving: Serving, tmp_path: Path, fault: str) -> None:
    """Four of the first five attempts fail."""
    images, texts = pairs(12)
    expected = black_box(Projection(), tmp_path / "here").query(images, texts)
    seen: Counter[str] = Counter()
    with faulty(serving.url, lambda number: fault if number in (0, 1, 3, 4) else "ok") as proxy:
        door = black_box(client(proxy.url, timeout=0.5 if fault == "slow" else 20.0), tmp_path / "there")
        answers = door.query(images, texts)
        posts = list(proxy.posts)
    assert all(torch.equal(*both) for both in zip(answers, expected, strict=True))
    assert (door.spent, serving.charged, serving.target.asked) == (12, 24, 24)
    for _, name, _ in posts:
        seen[name] += 1
    assert sum(one == fault for one, _, _ in posts) == 4
    assert (len(seen), len(posts)) == (6, 10)


def test_all_faults_together(serving: Serving, tmp_path: Path) -> None:
    images, texts = pairs(40)
    expected = black_box(Projection(), tmp_path / "here").query(images, texts)

    def plan(number: int) -> str:
        return FAULTS[number // 2 % len(FAULTS)] if number % 2 else "ok"

    with faulty(serving.url, plan) as proxy:
        door = black_box(client(proxy.url, timeout=0.8, attempts=12), tmp_path / "there")
        answers = door.query(images, texts)
        assert {one for one, _, _ in proxy.posts} >= {"ok", "drop", "lost"}
    assert all(torch.equal(*both) for both in zip(answers, expected, strict=True))
    assert (door.spent, serving.charged, serving.target.asked) == (40, 80, 80)


def test_a_pause_that_is_asked_for_is_made(serving: Serving) -> None:
    with faulty(serving.url, lambda number: "busy" if number == 0 else "ok") as proxy:
        client(proxy.url).hash_texts(pairs(2)[1])
        (_, first, start), (_, second, end) = proxy.posts
    assert first == second
    assert end - start >= 1


def test_a_run_that_was_killed_between_question_and_answer_pays_once(serving: Serving, tmp_path: Path) -> None:
    images, texts = pairs(4)
    with faulty(serving.url, lambda number: "lost") as proxy, pytest.raises(TargetError, match="did not answer"):
        black_box(client(proxy.url, attempts=1), tmp_path).query(images, texts)
    assert serving.charged == 4
    again = black_box(client(serving.url), tmp_path)
    again.query(images, texts)
    assert (again.spent, serving.charged) == (4, 8)


@pytest.mark.parametrize(
    ("fault", "said"), [("drop", "did not answer"), ("error", "answered 500"), ("html", "no JSON")]
)
def test_after_all_attempts_it_is_an_error(serving: Serving, fault: str, said: str) -> None:
    def sent(proxy: FaultyProxy) -> int:
        with pytest.raises(TargetError, match=said):
            client(proxy.url, attempts=3).hash_texts(pairs(2)[1])
        return len(proxy.posts)

    with faulty(serving.url, lambda number: fault) as proxy:
        assert sent(proxy) == 3


def test_a_spent_quota_and_a_wrong_key_are_not_waited_for(start: Callable[..., Serving]) -> None:
    serving = start(quota=4)
    with faulty(serving.url, lambda number: "ok") as proxy:
        with pytest.raises(TargetError, match="429: 5 items were asked for, 4 are left of this key's quota"):
            client(proxy.url).hash_texts(pairs(5)[1])
        with pytest.raises(TargetError, match="401: this key is not known"):
            client(proxy.url, key="another").hash_texts(pairs(5)[1])
        with pytest.raises(TargetError, match="401: send a header"):
            client(proxy.url, key=None).hash_texts(pairs(5)[1])
        assert len(proxy.posts) == 3


def test_a_service_that_limits_the_rate_is_followed(start: Callable[..., Serving]) -> None:
    serving = start(rate=2.0, burst=2)
    client(serving.url, attempts=10).hash_texts(pairs(20)[1])
    assert serving.charged == 20


@pytest.mark.parametrize(
    "answer", ['{"codes": []}', "[]", '{"codes": ["01"]}', '{"codes": ["%s"]}' % ("2" * BITS), '{"codes": [7]}']
)
def test_what_is_no_codes_is_refused(serving: Serving, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("aach_lightning.serving.system.System.answer", lambda *_: answer.encode())
    with pytest.raises(TargetError, match=f"1 strings of {BITS} characters"):
        client(serving.url).hash_texts(pairs(1)[1])


def test_nobody_listens() -> None:
    with pytest.raises(TargetError, match=r"target\.method\.attempts"):
        client("http://127.0.0.1:9", attempts=2).about()
