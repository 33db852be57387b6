"""What passes the door of a service that ranks: ids of its gallery and nothing else, in the order that a loop finds."""

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.targets.answers import RankedAnswers
from aach_lightning.targets.blackbox import BlackBox, BudgetExceeded
from aach_lightning.targets.ledger import LedgerMismatch

BITS, ITEMS = 6, 23


def signs(*shape: int, seed: int) -> Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).mul(2).sub(1).to(torch.int8)


IMAGES, TEXTS = signs(ITEMS, BITS, seed=1), signs(ITEMS, BITS, seed=2)


class SignTarget:
    """Hashes by the first entries of an item, and counts."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.sent = 0

    def hash_images(self, images: Tensor) -> Tensor:
        self.sent += len(images)
        if self.folder is not None:
            with (self.folder / "sent").open("a") as file:
                file.write("x" * len(images))
            time.sleep(0.02)
        return images.flatten(1)[:, :BITS] - 0.5

    def hash_texts(self, texts: Tensor) -> Tensor:
        return texts[:, :BITS]


def queries(count: int, seed: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 2, 2), generator=generator) / 255
    return images, torch.randn(count, BITS, generator=generator)


def ranked(k: int = ITEMS, secret: str = "secret") -> RankedAnswers:
    return RankedAnswers(IMAGES, TEXTS, k, secret)


def box(target: Any, folder: Path, budget: int = 50, k: int = ITEMS, run: str = "run") -> BlackBox:
    return BlackBox(
        target, BITS, budget, folder / "ledger", identity=f"first {k}", run=run, batch_size=4, reveals=ranked(k)
    )


def codes_of(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(torch.where(part >= 0, 1, -1) for part in (images.flatten(1)[:, :BITS] - 0.5, texts))  # type: ignore[return-value]


def distances(code: Tensor, gallery: Tensor) -> list[int]:
    return [sum(int(a != b) for a, b in zip(code.tolist(), item.tolist(), strict=True)) for item in gallery]


@pytest.mark.parametrize("k", [ITEMS, 5, 1])
def test_nothing_but_ids_comes_out_nearest_first(tmp_path: Path, k: int) -> None:
    images, texts = queries(12)
    door = box(SignTarget(), tmp_path, k=k)
    answers = door.query(images, texts)
    for found, codes, gallery in zip(answers, codes_of(images, texts), (TEXTS, IMAGES), strict=True):
        assert (found.dtype, tuple(found.shape), found.is_inference()) == (torch.int64, (12, k), False)
        for ids, code in zip(found.tolist(), codes, strict=True):
            away = distances(code, gallery)
            assert len(set(ids)) == k
            assert [away[number] for number in ids] == sorted(away)[:k]
    assert torch.equal(door.query_images(images), answers[0])
    assert torch.equal(door.query_texts(texts), answers[1])


def test_the_first_k_are_the_first_of_all() -> None:
    codes = signs(9, BITS, seed=5)
    assert torch.equal(ranked(4).of_images(codes), ranked().of_images(codes)[:, :4])
    assert torch.equal(ranked(4).of_texts(codes), ranked().of_texts(codes)[:, :4])


def test_equal_codes_are_answered_alike_and_ties_of_others_stand_in_another_order() -> None:
    alike = signs(1, BITS, seed=6).expand(3, -1)
    first, second, third = ranked().of_images(alike).tolist()
    assert first == second == third
    constant = RankedAnswers(torch.ones(ITEMS, BITS), torch.ones(ITEMS, BITS), ITEMS, "secret")
    orders = constant.of_images(torch.cat([signs(40, BITS, seed=7).unique(dim=0)]))  # all items tied, whatever is asked
    assert len({tuple(order) for order in orders.tolist()}) == len(orders) > 20
    assert not torch.equal(constant.of_images(alike), constant.of_texts(alike))
    other = RankedAnswers(torch.ones(ITEMS, BITS), torch.ones(ITEMS, BITS), ITEMS, "another secret")
    assert not torch.equal(constant.of_images(alike), other.of_images(alike))


def test_falling_ids_do_not_betray_where_the_distance_grows() -> None:
    """With ties in the order of ids every fall would be such a place; here falls are as frequent inside of ties."""
    generator = torch.Generator().manual_seed(0)
    gallery = torch.randint(0, 2, (400, 4), generator=generator).mul(2).sub(1).to(torch.int8)
    codes = torch.cartesian_prod(*[torch.tensor([-1, 1], dtype=torch.int8)] * 4)
    falls: dict[bool, list[int]] = {False: [], True: []}
    for ids, code in zip(RankedAnswers(gallery, gallery, 400, "s").of_images(codes).tolist(), codes, strict=True):
        away = distances(code, gallery)
        for before, after in pairwise(ids):
            falls[away[before] < away[after]].append(int(after < before))
    inside = falls[False]
    assert len(inside) > 6000
    assert abs(np.mean(inside) - 0.5) < 0.02
    assert abs(np.mean(falls[True]) - 0.5) < 0.2


def test_a_repeat_is_free_and_replayed_as_it_was(tmp_path: Path) -> None:
    images, texts = queries(6)
    target = SignTarget()
    door = box(target, tmp_path, budget=6)
    first = door.query(images[[0, 1, 2, 1]], texts[[0, 1, 2, 1]])
    assert (target.sent, door.spent, door.spent_pairs) == (3, 3, 3)
    assert first[0][1].tolist() == first[0][3].tolist()
    again = box(target, tmp_path, budget=6)  # a restart: the count and the answers lie on the disk
    rest = again.query(images[3:], texts[3:])
    everything = again.query(images, texts)
    for whole, begun, added in zip(everything, first, rest, strict=True):
        assert torch.equal(whole, torch.cat([begun[:3], added]))
    assert (target.sent, again.spent, again.paid) == (6, 6, 6)
    with pytest.raises(BudgetExceeded):
        again.query(*queries(1, seed=9))
    other = box(target, tmp_path, run="another")
    assert all(map(torch.equal, other.query(images, texts), everything))
    assert (target.sent, other.spent, other.paid) == (6, 6, 6)


def test_no_code_lies_in_the_ledger(tmp_path: Path) -> None:
    """Two galleries that rank alike leave the same bytes, whatever the codes are."""
    images, texts = queries(5)
    files = []
    for flip in (1, -1):

        class Flipped(SignTarget):
            def hash_images(self, images: Tensor, flip: int = flip) -> Tensor:
                return super().hash_images(images).add(1e-9) * flip

            def hash_texts(self, texts: Tensor, flip: int = flip) -> Tensor:
                return super().hash_texts(texts) * flip

        class Untied(RankedAnswers):
            def _ranked(self, half: str, codes: Tensor, gallery: Tensor) -> Tensor:
                return (gallery.float() @ codes.float().T).T.argsort(dim=1, descending=True, stable=True)

        path = tmp_path / str(flip)
        form = Untied(IMAGES * flip, TEXTS * flip, ITEMS, "secret")
        BlackBox(Flipped(), BITS, 9, path, identity="one", run="run", reveals=form).query(images, texts)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_the_ledger_of_another_form_is_refused(tmp_path: Path) -> None:
    box(SignTarget(), tmp_path).query(*queries(1))
    with pytest.raises(LedgerMismatch):
        box(SignTarget(), tmp_path, k=5).query(*queries(1))


def test_a_killed_run_goes_on_with_what_it_paid(tmp_path: Path) -> None:
    images, texts = queries(40)
    target = SignTarget()
    expected = [ranked().of_images(codes_of(images, texts)[0].to(torch.int8))]
    expected.append(ranked().of_texts(codes_of(images, texts)[1].to(torch.int8)))
    sent = tmp_path / "sent"
    process = subprocess.Popen([sys.executable, __file__, str(tmp_path)])
    end = time.monotonic() + 60
    while not (sent.exists() and sent.stat().st_size >= 8) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = sent.stat().st_size
    assert 8 <= before < 40
    door = box(target, tmp_path, budget=40)
    assert (door.spent, door.paid) == (40, 40)  # reserved in one piece before anything was sent
    assert [part.tolist() for part in door.query(images, texts)] == [part.tolist() for part in expected]
    assert 40 - before <= target.sent <= 40 - before + 4  # of the batch that was cut the answers may be lost
    assert (door.spent, door.paid) == (40, 40)
    with pytest.raises(BudgetExceeded):
        door.query(*queries(1, seed=8))


@pytest.mark.parametrize("parts", [1, 2])
def test_ids_survive_packing(parts: int) -> None:
    form = RankedAnswers(torch.ones(2**16, 1), torch.ones(2**16, 1), 3, "s")
    written = np.array([[0, 65535, 256], [1, 2, 513]])[:parts]
    payload = form.pack(written)
    assert payload == b"".join(int(number).to_bytes(2, "little") for number in written.ravel())
    assert len(payload) == parts * form.size
    assert form.unpack(payload + bytes(9), parts).tolist() == written.tolist()


@pytest.mark.parametrize("k", [0, 24])
def test_impossible_lists_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k must lie in 1 to 23 items.*got {k}"):
        ranked(k)
    with pytest.raises(ValueError, match="a gallery has pairs"):
        RankedAnswers(IMAGES, TEXTS[:3], 2, "s")


if __name__ == "__main__":
    box(SignTarget(Path(sys.argv[1])), Path(sys.argv[1]), budget=40).query(*queries(40))
