import io
import pickle
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.targets.blackbox import BlackBox, BudgetExceeded, EvaluationDoor, round_to_8_bits
from aach_lightning.targets.ledger import LedgerError, LedgerMismatch
from aach_lightning.targets.service import TargetError

CODE_LENGTH = 10


def image(number: int) -> Tensor:
    """3 x 2 x 2, its first two pixels are `number` in base 256."""
    picture = torch.full((3, 2, 2), 7.0)
    picture[0, 0] = torch.tensor([number // 256, number % 256])
    return picture / 255


def text(number: int) -> Tensor:
    return torch.tensor([0.5, float(number), -1.0])


def pairs(*numbers: int) -> tuple[Tensor, Tensor]:
    return torch.stack([image(number) for number in numbers]), torch.stack([text(number) for number in numbers])


def code(number: int) -> list[int]:
    return [1 if number >> bit & 1 else -1 for bit in range(CODE_LENGTH)]


def image_code(number: int) -> list[int]:
    return code(number * 37 % 1024)


def text_code(number: int) -> list[int]:
    return code(number * 91 % 1024)


class RecordingTarget:
    """Answers by arithmetic on the number in an item, and remembers everything that reached it."""

    def __init__(self) -> None:
        self.images: list[int] = []
        self.texts: list[int] = []
        self.seen: list[Tensor] = []
        self.batches: list[int] = []
        self.failing = False

    def hash_images(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        self.batches.append(len(images))
        pixels = (images[:, 0, 0] * 255).round().long()
        numbers = (pixels[:, 0] * 256 + pixels[:, 1]).tolist()
        self.images += numbers
        if self.failing:
            raise ConnectionError("the service is down")
        return torch.tensor([image_code(number) for number in numbers])

    def hash_texts(self, texts: Tensor) -> Tensor:
        self.seen.append(texts)
        numbers = [int(number) for number in texts[:, 1].tolist()]
        self.texts += numbers
        if self.failing:
            raise ConnectionError("the service is down")
        return torch.tensor([text_code(number) for number in numbers])


class FixedTarget:
    """Gives one answer to everything."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def hash_images(self, images: Tensor) -> Tensor:
        return self.answer

    def hash_texts(self, texts: Tensor) -> Tensor:
        return self.answer


@pytest.fixture
def target() -> RecordingTarget:
    return RecordingTarget()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "target.ledger"


def box(target: Any, ledger: Path, budget: int = 100, run: str = "run", **options: Any) -> BlackBox:
    return BlackBox(target, CODE_LENGTH, budget, ledger, identity="target", run=run, **options)


def test_codes_are_plain_int8_signs(target: RecordingTarget, ledger: Path) -> None:
    for codes, expected in zip(box(target, ledger).query(*pairs(1, 2, 500)), (image_code, text_code), strict=True):
        assert codes.tolist() == [expected(1), expected(2), expected(500)]
        assert codes.dtype == torch.int8
        assert codes.device.type == "cpu"
        assert type(codes) is Tensor
        assert codes.is_contiguous()
        assert not codes.requires_grad
        assert not codes.is_inference()


def test_no_queries_cost_nothing(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger, budget=0)
    image_codes, text_codes = door.query(torch.empty(0, 3, 2, 2), torch.empty(0, 3))
    assert image_codes.shape == text_codes.shape == (0, CODE_LENGTH)
    assert (door.spent, target.seen) == (0, [])


def test_a_hashing_network_is_a_target(ledger: Path) -> None:
    torch.manual_seed(0)
    network = HashingNetwork(nn.Sequential(nn.Flatten(), nn.Linear(12, 10)), nn.Linear(3, 10), 10).eval()
    levels = torch.randint(0, 256, (5, 3, 2, 2))
    texts = torch.randn(5, 3)
    image_codes, text_codes = box(network, ledger).query(levels / 255, texts)
    image_weights, text_weights = network.image[1], network.text
    expected = levels.double().flatten(1) / 255 @ image_weights.weight.double().T + image_weights.bias.double()
    assert torch.equal(image_codes == 1, expected > 0)
    assert torch.equal(text_codes == 1, texts.double() @ text_weights.weight.double().T + text_weights.bias > 0)
    assert all(parameter.grad is None for parameter in network.parameters())


# Repeats and content


def test_a_repeat_is_free(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger)
    door.query(*pairs(1, 2, 1, 1))
    assert target.images == target.texts == [1, 2]
    image_codes, _ = door.query(*pairs(2, 3, 2, 1))
    assert target.images == target.texts == [1, 2, 3]
    assert image_codes.tolist() == [image_code(2), image_code(3), image_code(2), image_code(1)]
    assert (door.spent, door.spent_pairs, door.paid) == (3, 3, 3)


def test_a_change_below_half_a_level_is_a_repeat(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger)
    images, texts = pairs(1)
    door.query(images, texts)
    door.query(images + 0.49 / 255, texts)
    door.query(images - 0.49 / 255, texts)
    assert door.spent == len(target.images) == 1
    door.query(images + 0.51 / 255, texts)
    assert door.spent == len(target.images) == 2


@pytest.mark.parametrize("position", [(0, 0, 0), (1, 1, 0), (2, 1, 1)])
def test_one_level_of_one_pixel_is_another_query(
    target: RecordingTarget, ledger: Path, position: tuple[int, int, int]
) -> None:
    images, texts = pairs(1, 1)
    images[(1, *position)] += 1 / 255
    door = box(target, ledger)
    door.query(images, texts)
    assert door.spent == 2


def test_the_last_bit_of_a_text_is_another_query(target: RecordingTarget, ledger: Path) -> None:
    images, texts = pairs(1, 1)
    texts[1, 0] = float(np.nextafter(np.float32(0.5), np.float32(1)))
    door = box(target, ledger)
    door.query(images, texts)
    assert door.spent == 2


def test_equal_bytes_of_another_shape_are_another_query(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger)
    for shape in ((1, 3, 2, 8), (1, 3, 8, 2), (1, 3, 4, 4)):
        door.query_images(torch.zeros(shape))
    assert door.spent == 3


def test_a_pair_and_its_parts_are_different_queries(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger)
    images, texts = pairs(4, 5)
    door.query(images, texts)
    assert door.query_images(images).tolist() == [image_code(4), image_code(5)]
    assert door.query_texts(texts[:1]).tolist() == [text_code(4)]
    assert (door.spent, door.spent_pairs) == (5, 2)
    assert (target.images, target.texts) == ([4, 5, 4, 5], [4, 5, 4])
    assert box(target, ledger).query_texts(texts[:1]).tolist() == [text_code(4)]
    assert target.texts == [4, 5, 4]


# What the target is shown


def test_every_level_arrives_unchanged_as_from_a_png(target: RecordingTarget, ledger: Path) -> None:
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    box(target, ledger).query_images(levels.float() / 255)
    file = io.BytesIO()
    Image.fromarray(levels[0].permute(1, 2, 0).contiguous().numpy()).save(file, "PNG")
    decoded = np.asarray(Image.open(file)).astype(np.float32) / np.float32(255)
    assert np.array_equal(target.seen[0][0].permute(1, 2, 0).numpy(), decoded)


def test_images_are_rounded_to_the_nearest_level() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 5, 5)
    expected = [[int(value * 255 + 0.5) for value in picture.flatten().tolist()] for picture in images]
    rounded = round_to_8_bits(images)
    assert rounded.dtype == torch.float32
    assert (rounded.double() * 255).flatten(1).round().tolist() == expected
    torch.testing.assert_close(rounded.double(), torch.tensor(expected).view(4, 3, 5, 5).double() / 255)


def test_float_noise_at_the_ends_of_the_range_is_forgiven(target: RecordingTarget, ledger: Path) -> None:
    box(target, ledger).query_images(torch.tensor([-1e-7, 1 + 1e-6]).repeat(6).view(1, 3, 2, 2))
    assert target.seen[0].flatten().tolist() == [0.0, 1.0] * 6


def test_texts_arrive_unchanged(target: RecordingTarget, ledger: Path) -> None:
    texts = torch.randn(3, 3).mul(100)
    box(target, ledger).query_texts(texts)
    assert torch.equal(target.seen[0], texts)


def test_no_gradient_passes(ledger: Path) -> None:
    weight = torch.ones(CODE_LENGTH, requires_grad=True)
    modes: list[tuple[bool, bool, bool]] = []

    class Differentiable:
        def hash_images(self, images: Tensor) -> Tensor:
            modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), images.requires_grad))
            return images.flatten(1).sum(1, keepdim=True) * weight

        def hash_texts(self, texts: Tensor) -> Tensor:
            modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), texts.requires_grad))
            return texts.sum(1, keepdim=True) * weight

    images, texts = (part.requires_grad_() for part in pairs(1, 2))
    door, evaluation = box(Differentiable(), ledger), EvaluationDoor(Differentiable(), CODE_LENGTH)
    answers = [*door.query(images, texts), door.query_images(images), door.query_texts(texts)]
    answers += [evaluation.image_codes(images), evaluation.text_codes(texts)]
    assert all(not codes.requires_grad and codes.grad_fn is None for codes in answers)
    assert modes == [(False, True, False)] * 6
    assert images.grad is texts.grad is weight.grad is None
    assert not round_to_8_bits(images).requires_grad


def test_nothing_public_holds_the_target(ledger: Path) -> None:
    network = HashingNetwork(nn.Linear(1, 10), nn.Linear(3, 10), 10).eval()
    for door in (box(network, ledger), EvaluationDoor(network, CODE_LENGTH)):
        public = {name: getattr(door, name) for name in dir(door) if not name.startswith("_")}
        assert all(isinstance(value, int) or callable(value) for value in public.values()), public
        assert not any(isinstance(value, nn.Module) for value in public.values())
        assert set(public) <= {
            *("query", "query_images", "query_texts", "budget", "spent", "spent_pairs", "paid"),
            *("image_codes", "text_codes", "items"),
        }


# The budget


def test_the_budget_can_be_spent_to_the_last_query(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger, budget=5)
    door.query(*pairs(1, 2, 3))
    door.query_images(pairs(1)[0])
    door.query_texts(pairs(1)[1])
    assert door.spent == 5
    door.query(*pairs(3, 2, 1))
    sent = (list(target.images), list(target.texts))
    for ask in (
        lambda: door.query(*pairs(4)),
        lambda: door.query_images(pairs(2)[0]),
        lambda: door.query_texts(pairs(2)[1]),
    ):
        with pytest.raises(
            BudgetExceeded, match="asks for 1 new queries, but 5 of the budget of 5 are spent: 0 are left"
        ):
            ask()
    assert (target.images, target.texts) == sent
    assert door.spent == door.paid == 5


def test_a_call_beyond_the_budget_sends_and_spends_nothing(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger, budget=3)
    door.query(*pairs(1))
    before = ledger.read_bytes()
    with pytest.raises(BudgetExceeded) as caught:
        door.query(*pairs(1, 2, 3, 4, 4))
    assert (caught.value.budget, caught.value.spent, caught.value.asked) == (3, 1, 3)
    assert target.images == [1]
    assert ledger.read_bytes() == before
    door.query(*pairs(2, 3))
    assert door.spent == 3


def test_the_refusal_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(BudgetExceeded(3, 1, 4)))
    assert (error.budget, error.spent, error.asked) == (3, 1, 4)
    assert str(error).startswith("the call asks for 4 new queries, but 1 of the budget of 3 are spent: 2 are left")


def test_a_restart_continues_the_count(target: RecordingTarget, ledger: Path) -> None:
    box(target, ledger, budget=3).query(*pairs(1, 2))
    again = box(target, ledger, budget=3)
    assert (again.spent, again.spent_pairs, again.paid) == (2, 2, 2)
    again.query(*pairs(2, 3))
    assert target.images == [1, 2, 3]
    with pytest.raises(BudgetExceeded):
        box(target, ledger, budget=3).query(*pairs(4))


def test_a_smaller_budget_lies_inside_a_larger_one(target: RecordingTarget, ledger: Path) -> None:
    box(target, ledger, budget=6, run="six").query(*pairs(1, 2, 3, 4, 5, 6))
    small = box(target, ledger, budget=2, run="two")
    assert (small.spent, small.paid) == (0, 6)
    image_codes, _ = small.query(*pairs(1, 2))
    assert image_codes.tolist() == [image_code(1), image_code(2)]
    assert target.images == [1, 2, 3, 4, 5, 6]
    assert (small.spent, small.paid) == (2, 6)
    with pytest.raises(BudgetExceeded):
        small.query(*pairs(3))
    assert box(target, ledger, budget=6, run="six").spent == 6


def test_a_larger_budget_pays_only_what_is_missing(target: RecordingTarget, ledger: Path) -> None:
    box(target, ledger, budget=2, run="two").query(*pairs(1, 2))
    large = box(target, ledger, budget=4, run="four")
    large.query(*pairs(1, 2, 3, 4))
    assert target.images == [1, 2, 3, 4]
    assert (large.spent, large.paid) == (4, 4)


def test_the_ledger_of_another_target_is_refused(target: RecordingTarget, ledger: Path) -> None:
    box(target, ledger).query(*pairs(1))
    with pytest.raises(LedgerMismatch):
        BlackBox(target, CODE_LENGTH, 100, ledger, identity="retrained", run="run").query(*pairs(1))
    assert target.images == [1]


# Failures


def test_a_target_that_fails_was_paid_and_is_asked_again_for_free(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger, budget=2)
    target.failing = True
    with pytest.raises(ConnectionError, match="the service is down"):
        door.query(*pairs(1, 2))
    target.failing = False
    for again in (door, box(target, ledger, budget=2)):
        assert again.spent == again.paid == 2
        with pytest.raises(BudgetExceeded):
            again.query(*pairs(3))
        image_codes, text_codes = again.query(*pairs(1, 2))
        assert image_codes.tolist() == [image_code(1), image_code(2)]
        assert text_codes.tolist() == [text_code(1), text_code(2)]
    assert target.images == [1, 2, 1, 2]


def test_what_was_answered_before_a_failure_is_kept(target: RecordingTarget, ledger: Path) -> None:
    door = box(target, ledger, budget=7, batch_size=3)

    class FailsAtFive(RecordingTarget):
        def hash_texts(self, texts: Tensor) -> Tensor:
            self.failing = 5 in texts[:, 1].tolist()
            return super().hash_texts(texts)

    flaky = FailsAtFive()
    with pytest.raises(ConnectionError):
        box(flaky, ledger, budget=7, batch_size=3).query(*pairs(0, 1, 2, 3, 4, 5, 6))
    assert flaky.batches == [3, 3]
    door.query(*pairs(0, 1, 2, 3, 4, 5, 6))
    assert target.images == [3, 4, 5, 6]
    assert target.batches == [3, 1]
    assert door.spent == 7


def test_nothing_is_sent_when_the_reservation_cannot_be_written(
    target: RecordingTarget, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = box(target, ledger)
    door.query(*pairs(1))

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(LedgerError, match="nothing was sent"):
            door.query(*pairs(2))
    assert target.images == [1]
    assert door.spent == 1


def test_the_reservation_is_on_the_disk_when_the_target_is_called(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Watching(RecordingTarget):
        def hash_images(self, images: Tensor) -> Tensor:
            events.append(f"sent at {ledger.stat().st_size}")
            return super().hash_images(images)

    door = box(Watching(), ledger)
    assert door.spent == 0
    empty = ledger.stat().st_size
    record = 1 + 17 + 16 + 8
    monkeypatch.setattr("os.fsync", lambda descriptor: events.append(f"fsync {ledger.stat().st_size}"))
    door.query(*pairs(1, 2, 3))
    reserved, answered = empty + 3 * record, empty + 6 * record
    assert events == [f"fsync {reserved}", f"sent at {reserved}", f"fsync {answered}"]


GOOD = torch.ones(2, CODE_LENGTH)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (GOOD[:1], r"tensor of shape 2 x 10, got shape \(1, 10\)"),
        (GOOD[:, :9], r"got shape \(2, 9\)"),
        (GOOD[0], r"got shape \(10,\)"),
        (GOOD * torch.nan, "got NaN or infinity"),
        (GOOD * torch.inf, "got NaN or infinity"),
        (GOOD.long() * 0, "integers in {-1, \\+1} or of floats, got torch.int64 of other values"),
        (GOOD.to(torch.uint8) * 255, "got torch.uint8"),
        (GOOD.bool(), "got torch.bool"),
        (GOOD.to(torch.complex64), "got torch.complex64"),
        (GOOD.tolist(), "got a list"),
        (None, "got a NoneType"),
    ],
)
def test_an_answer_that_is_no_code_is_refused(ledger: Path, answer: Any, message: str) -> None:
    door, evaluation = box(FixedTarget(answer), ledger), EvaluationDoor(FixedTarget(answer), CODE_LENGTH)
    images, texts = pairs(1, 2)
    asks: list[Callable[[], object]] = [
        lambda: door.query(images, texts),
        lambda: door.query_images(images),
        lambda: door.query_texts(texts),
        lambda: evaluation.image_codes(images),
        lambda: evaluation.text_codes(texts),
    ]
    for ask in asks:
        with pytest.raises(TargetError, match=message):
            ask()
    assert evaluation.items == 0


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32, torch.float16, torch.bfloat16])
def test_answers_of_several_types_become_signs(ledger: Path, dtype: torch.dtype) -> None:
    answer = torch.tensor([code(5), code(9)]).to(dtype)
    codes = box(FixedTarget(answer), ledger).query_images(pairs(1, 2)[0])
    assert codes.dtype == torch.int8
    assert codes.tolist() == [code(5), code(9)]


def test_relaxed_answers_are_reduced_to_their_signs(ledger: Path) -> None:
    answer = torch.tensor([[0.0, -0.0, 1e-30, -1e-30, 0.7, -0.2, 3.0, -40.0, 1.0, -1.0]])
    codes = box(FixedTarget(answer), ledger).query_images(pairs(1)[0])
    assert codes.tolist() == [[1, 1, 1, -1, 1, -1, 1, -1, 1, -1]]


def test_changing_an_answer_afterwards_changes_no_cache(ledger: Path) -> None:
    answer = torch.ones(1, CODE_LENGTH, dtype=torch.int8)
    door, evaluation = box(FixedTarget(answer), ledger), EvaluationDoor(FixedTarget(answer), CODE_LENGTH)
    door.query_images(pairs(1)[0]).fill_(0)
    evaluation.image_codes(pairs(1)[0]).fill_(0)
    assert answer.tolist() == [[1] * CODE_LENGTH]
    assert door.query_images(pairs(1)[0]).tolist() == [[1] * CODE_LENGTH]


def test_a_target_in_training_mode_is_refused(ledger: Path) -> None:
    network = HashingNetwork(nn.Linear(1, 10), nn.Linear(3, 10), 10).train()
    with pytest.raises(TargetError, match="call its eval"):
        box(network, ledger).query_texts(pairs(1)[1])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 2, 2, dtype=torch.uint8), "float32 of shape N x 3 x H x W, got torch.uint8"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.float64), "got torch.float64"),
        (torch.zeros(3, 2, 2), r"of shape \(3, 2, 2\)"),
        (torch.zeros(1, 4, 2, 2), r"of shape \(1, 4, 2, 2\)"),
        (torch.full((1, 3, 2, 2), 1.01), r"must lie in \[0, 1\]"),
        (torch.full((1, 3, 2, 2), -0.01), r"must lie in \[0, 1\]"),
        (torch.full((1, 3, 2, 2), 255.0), r"must lie in \[0, 1\]"),
        (torch.tensor([0.5] * 11 + [torch.nan]).view(1, 3, 2, 2), r"must lie in \[0, 1\], got values from nan"),
    ],
)
def test_images_of_another_form_are_refused(
    target: RecordingTarget, ledger: Path, images: Tensor, message: str
) -> None:
    door = box(target, ledger)
    asks: list[Callable[[], object]] = [
        lambda: door.query(images, pairs(1)[1]),
        lambda: door.query_images(images),
        lambda: EvaluationDoor(target, CODE_LENGTH).image_codes(images),
        lambda: round_to_8_bits(images),
    ]
    for ask in asks:
        with pytest.raises(ValueError, match=message):
            ask()
    assert (target.seen, door.spent) == ([], 0)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (torch.zeros(1, 3, dtype=torch.float64), "texts must be float32 of shape N x D, got torch.float64"),
        (torch.zeros(3), r"of shape \(3,\)"),
        (torch.tensor([[1.0, torch.inf, 0.0]]), "finite"),
        (torch.zeros(2, 3), "got 1 images and 2 texts"),
    ],
)
def test_texts_of_another_form_are_refused(target: RecordingTarget, ledger: Path, texts: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        box(target, ledger).query(pairs(1)[0], texts)
    assert target.seen == []


@pytest.mark.parametrize("options", [{"budget": -1}, {"batch_size": 0}])
def test_impossible_doors_are_refused(target: RecordingTarget, ledger: Path, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="budget must be at least 0 and batch_size at least 1"):
        box(target, ledger, **options)


def test_a_code_has_a_bit(target: RecordingTarget, ledger: Path) -> None:
    with pytest.raises(ValueError, match="code_length must be at least 1, got 0"):
        EvaluationDoor(target, 0)


def test_threads_share_a_door(ledger: Path) -> None:
    class Slow(RecordingTarget):
        def hash_images(self, images: Tensor) -> Tensor:
            time.sleep(0.005)
            return super().hash_images(images)

    target = Slow()
    door = box(target, ledger, budget=20)
    wrong: list[int] = []

    def work(offset: int) -> None:
        for step in range(20):
            number = (step + offset) % 20
            if door.query_images(pairs(number)[0]).tolist() != [image_code(number)]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 5, 10, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(target.images) == list(range(20))
    assert door.spent == 20


# Evaluation


def test_evaluation_is_counted_apart(target: RecordingTarget, ledger: Path) -> None:
    door, evaluation = box(target, ledger, budget=1), EvaluationDoor(target, CODE_LENGTH, batch_size=2)
    images, texts = pairs(1, 2, 3, 2, 1)
    image_codes, text_codes = evaluation.image_codes(images), evaluation.text_codes(texts[:3])
    assert image_codes.tolist() == [image_code(number) for number in (1, 2, 3, 2, 1)]
    assert text_codes.tolist() == [text_code(number) for number in (1, 2, 3)]
    assert image_codes.dtype == text_codes.dtype == torch.int8
    assert not image_codes.is_inference()
    assert target.batches == [2, 2, 1]
    assert evaluation.items == 8
    assert (door.spent, door.paid) == (0, 0)
    door.query(*pairs(9))
    assert evaluation.items == 8


def test_evaluation_shows_the_target_what_an_attacker_would(target: RecordingTarget, ledger: Path) -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 4, 4)
    box(target, ledger).query_images(images)
    EvaluationDoor(target, CODE_LENGTH).image_codes(images)
    EvaluationDoor(target, CODE_LENGTH).image_codes(round_to_8_bits(images))
    assert torch.equal(target.seen[0], target.seen[1])
    assert torch.equal(target.seen[0], target.seen[2])


def test_evaluation_of_nothing(target: RecordingTarget) -> None:
    assert EvaluationDoor(target, CODE_LENGTH).image_codes(torch.empty(0, 3, 2, 2)).shape == (0, CODE_LENGTH)
    assert target.seen == []


# Any sequence of events, against a model made of dicts

NUMBERS = st.lists(st.integers(0, 12), min_size=1, max_size=5)
EVENTS = st.one_of(
    st.tuples(st.sampled_from(["pair", "image", "text"]), st.sampled_from(["a", "b"]), NUMBERS),
    st.tuples(st.just("restart"), st.sampled_from(["a", "b"]), st.integers(0, 15)),
    st.tuples(st.just("break"), st.booleans(), st.none()),
    st.tuples(st.just("tear"), st.integers(1, 60), st.none()),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=25), st.integers(1, 4))
def test_any_sequence_of_events_agrees_with_a_model(events: list[tuple[str, Any, Any]], batch_size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(events, batch_size, Path(folder) / "ledger")


def play(events: list[tuple[str, Any, Any]], batch_size: int, path: Path) -> None:
    target = RecordingTarget()
    budgets = {"a": 8, "b": 5}
    doors = {run: box(target, path, budget, run, batch_size=batch_size) for run, budget in budgets.items()}
    claimed: dict[str, set[tuple[str, int]]] = {"a": set(), "b": set()}
    answered: set[tuple[str, int]] = set()

    def ask(form: str, door: BlackBox, numbers: list[int]) -> list[list[list[int]]]:
        images, texts = pairs(*numbers)
        if form == "pair":
            return [codes.tolist() for codes in door.query(images, texts)]
        return [(door.query_images(images) if form == "image" else door.query_texts(texts)).tolist()]

    for event, first, second in events:
        target.images.clear()
        target.texts.clear()
        if event == "restart":
            budgets[first] = second
            doors[first] = box(target, path, second, first, batch_size=batch_size)
        elif event == "break":
            target.failing = first
        elif event == "tear" and path.exists():
            with path.open("ab") as file:  # the beginning of a write that was cut
                file.write(bytes([67]) + bytes(min(first, 40)))
        elif event in ("pair", "image", "text"):
            door, queries = doors[first], {(event, number) for number in second}
            expected = {"image": [image_code], "text": [text_code], "pair": [image_code, text_code]}[event]
            missing = [number for number in dict.fromkeys(second) if (event, number) not in answered]
            if queries - claimed[first] and len(claimed[first] | queries) > budgets[first]:
                with pytest.raises(BudgetExceeded):
                    ask(event, door, second)
                assert target.images == target.texts == []
            else:
                claimed[first] |= queries
                if target.failing and missing:
                    with pytest.raises(ConnectionError):
                        ask(event, door, second)
                    assert target.images == ([] if event == "text" else missing[:batch_size])
                else:
                    answers = ask(event, door, second)
                    assert answers == [[encode(number) for number in second] for encode in expected]
                    assert target.images == ([] if event == "text" else missing)
                    assert target.texts == ([] if event == "image" else missing)
                    answered |= queries
        for run, door in doors.items():
            assert door.spent == len(claimed[run])
            assert door.spent_pairs == sum(form == "pair" for form, _ in claimed[run])
            assert door.paid == len(claimed["a"] | claimed["b"])
