"""The two doors to a target: BlackBox, metered, for the attacker; EvaluationDoor, counted apart, for measurements.

How a budget M is counted:

- One query is one pair, or one image or text asked alone (an attacked query's own code). Each counts 1, against the
  same M. Queries are told apart by content: the image rounded to 8 bits, the float32 text, the shapes. An image asked
  alone is another query than a pair that it is part of, as the service is called another time.
- A repeat is free, in the same call, later, or after a restart.
- The budget belongs to a run, not to the ledger, which many runs share. Each reservation carries the name of the run
  that asked: `spent` is the number of different queries that this run has ever asked for, answered from the ledger or
  not, which is what it alone would have paid. `paid` is what the target was really sent by all runs. A run with
  M = 100 whose pairs a run with M = 500 has bought before sends nothing, and still has spent 100.
- A process that gives the name of an earlier run continues its count; processes that run at the same time under one
  name share it. A run is therefore to be named by what it depends on (the hash of its config), not by when it began.
- Queries that are new for the run are reserved on the disk in one piece before the first of them is sent. A call that
  would pass M raises BudgetExceeded, reserves nothing and sends nothing. The ledger stays locked from the count to the
  last answer: no two processes can spend the same rest of a budget, and no query is sent twice at the same time.
- Whatever form answers have (`targets.answers`), they are counted alike, and stored in that form alone: a repeat gives
  what was stored. Each form has a ledger of its own.
- What was reserved stays spent, also when the process is killed or the target fails before it answers. Asking for the
  same query again then sends it again and costs nothing, so that a kill at any moment leaves at most M different
  queries sent by the run, and a restart that asks for the same queries ends with all of them answered.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from aach_lightning.errors import AachError
from aach_lightning.targets.answers import AnswerForm, CodeAnswers
from aach_lightning.targets.contents import (
    PAIR,
    checked_texts,
    image_keys,
    image_levels,
    pair_keys,
    round_to_8_bits,
    text_keys,
)
from aach_lightning.targets.ledger import Ledger
from aach_lightning.targets.service import Service, Target

__all__ = ["BlackBox", "BudgetExceeded", "EvaluationDoor", "round_to_8_bits"]

log = logging.getLogger(__name__)


class BudgetExceeded(AachError):  # noqa: N818 - what happened, not an error of the program
    """A call would have passed the budget; nothing was sent.

    Attributes:
        budget: M.
        spent: Queries that the run had spent before the call.
        asked: Further queries that the call needed.
    """

    def __init__(self, budget: int, spent: int, asked: int) -> None:
        super().__init__(budget, spent, asked)  # the arguments themselves, so that it can be pickled
        self.budget, self.spent, self.asked = budget, spent, asked

    def __str__(self) -> str:
        return (
            f"the call asks for {self.asked} new queries, but {self.spent} of the budget of {self.budget} are spent: "
            f"{max(self.budget - self.spent, 0)} are left. Nothing was sent. Ask for fewer, or raise budget.pairs."
        )


class BlackBox:
    """All that an attacker has of a target: answers to at most M queries.

    Answers are codes, int8 in {-1, +1}, N x K; or what another form reveals of them, such as ids of a gallery, int64,
    N x k.

    Args:
        target: The system under attack.
        code_length: K, the number of bits of its codes.
        budget: M, the number of different queries that this run may ask for.
        ledger: Path of the target's ledger; runs against the same target share it.
        identity: Names the target, its weights (such as a hash of both) and the form of its answers; a ledger of
            another one is refused.
        run: Names the run, whose count continues; see the top of this file.
        batch_size: Queries sent to the target at a time; the answers of each batch are kept at once.
        reveals: The form of answers; None for codes.

    Raises:
        ValueError: If budget is negative, or code_length or batch_size is below 1.
    """

    # a user writes this call with names; fewer parameters would be a class more to know
    def __init__(
        self,
        target: Target,
        code_length: int,
        budget: int,
        ledger: Path,
        *,
        identity: str,
        run: str,
        batch_size: int = 64,
        reveals: AnswerForm | None = None,
    ) -> None:
        if budget < 0 or batch_size < 1:
            raise ValueError(f"budget must be at least 0 and batch_size at least 1, got {budget} and {batch_size}")
        self._service = Service(target, code_length)
        self._form: AnswerForm = CodeAnswers(code_length) if reveals is None else reveals
        self._ledger = Ledger(ledger, code_length, identity, self._form.size)
        self._run = run
        self._batch_size = batch_size
        self.budget = budget

    @property
    def spent(self) -> int:
        """Different queries that this run has asked for so far, pairs and lone items; waits for a sending process."""
        with self._ledger.locked():
            return len(self._ledger.claimed(self._run))

    @property
    def spent_pairs(self) -> int:
        """The part of `spent` that were pairs; the rest were lone items."""
        with self._ledger.locked():
            return sum(key.startswith(PAIR) for key in self._ledger.claimed(self._run))

    @property
    def paid(self) -> int:
        """Different queries that the target was sent by all runs on this ledger."""
        with self._ledger.locked():
            return self._ledger.paid

    def query(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Ask for answers to pairs, one query each.

        Args:
            images: float32 in [0, 1], N x 3 x H x W; rounded to 8 bits before they are sent.
            texts: float32, N x D.

        Returns:
            Answers to the images and to the texts, such as int8 codes in {-1, +1}, N x K each, on the CPU.

        Raises:
            ValueError: If dtype, shape or range of an input is another.
            BudgetExceeded: If the run would have asked for more than `budget` queries; nothing is sent then.
            TargetError: If the target answers with anything but codes. What was reserved stays spent.
            LedgerError: If the ledger is damaged, belongs to another target, or cannot be written.
        """
        levels, texts = image_levels(images), checked_texts(texts)

        def send(rows: Tensor) -> list[Tensor]:
            return [self._of_images(levels[rows]), self._of_texts(texts[rows])]

        answers = self._ask(pair_keys(levels, texts), 2, send)
        return answers[:, 0].contiguous(), answers[:, 1].contiguous()

    def query_images(self, images: Tensor) -> Tensor:
        """Ask for answers to images alone, one query each: N x K or N x k; otherwise as `query`."""
        levels = image_levels(images)
        return self._ask(image_keys(levels), 1, lambda rows: [self._of_images(levels[rows])])[:, 0]

    def query_texts(self, texts: Tensor) -> Tensor:
        """Ask for answers to texts alone, one query each: N x K or N x k; otherwise as `query`."""
        texts = checked_texts(texts)
        return self._ask(text_keys(texts), 1, lambda rows: [self._of_texts(texts[rows])])[:, 0]

    def _of_images(self, levels: Tensor) -> Tensor:
        return self._form.of_images(self._service.image_codes(levels))

    def _of_texts(self, texts: Tensor) -> Tensor:
        return self._form.of_texts(self._service.text_codes(texts))

    def _ask(self, keys: Sequence[bytes], parts: int, send: Callable[[Tensor], list[Tensor]]) -> Tensor:
        ledger = self._ledger
        first_rows: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            first_rows.setdefault(key, row)
        if not (ledger.claimed(self._run) >= first_rows.keys() and ledger.answers.keys() >= first_rows.keys()):
            with ledger.locked():
                self._reserve([key for key in first_rows if key not in ledger.claimed(self._run)])
                rows = [row for key, row in first_rows.items() if key not in ledger.answers]
                for start in range(0, len(rows), self._batch_size):
                    batch = rows[start : start + self._batch_size]
                    answers = torch.stack(send(torch.tensor(batch)), dim=1).numpy()
                    packed = [self._form.pack(answer) for answer in answers]
                    ledger.record(dict(zip([keys[row] for row in batch], packed, strict=True)))
        found = torch.empty(len(keys), parts, self._form.width, dtype=self._form.dtype)
        for row, key in enumerate(keys):
            found[row] = torch.from_numpy(self._form.unpack(ledger.answers[key], parts))
        return found

    def _reserve(self, keys: Sequence[bytes]) -> None:
        spent = len(self._ledger.claimed(self._run))
        if not keys:
            return
        if spent + len(keys) > self.budget:
            raise BudgetExceeded(self.budget, spent, len(keys))
        self._ledger.claim(self._run, keys)
        level = logging.INFO if keys[0].startswith(PAIR) else logging.DEBUG  # a search reserves thousands of times
        log.log(level, "reserved %d queries, %d of %d are spent", len(keys), spent + len(keys), self.budget)


class EvaluationDoor:
    """The target for evaluation: same inputs and outputs as an attacker's, no budget, counted apart.

    Args:
        target: The system under attack.
        code_length: K, the number of bits of its codes.
        batch_size: Items sent to the target at a time.

    Attributes:
        items: Images and texts seen so far, repeats included.
    """

    def __init__(self, target: Target, code_length: int, batch_size: int = 64) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._service = Service(target, code_length)
        self._batch_size = batch_size
        self.items = 0

    def image_codes(self, images: Tensor) -> Tensor:
        """Codes of images.

        Args:
            images: float32 in [0, 1], N x 3 x H x W; rounded to 8 bits.

        Returns:
            int8 in {-1, +1}, N x K, on the CPU.

        Raises:
            ValueError: If dtype, shape or range of the input is another.
            TargetError: If the target answers with anything but codes.
        """
        return self._codes(image_levels(images), self._service.image_codes)

    def text_codes(self, texts: Tensor) -> Tensor:
        """Codes of texts, float32 N x D; returns and raises as `image_codes`."""
        return self._codes(checked_texts(texts), self._service.text_codes)

    def _codes(self, inputs: Tensor, answer: Callable[[Tensor], Tensor]) -> Tensor:
        codes = torch.empty(len(inputs), self._service.code_length, dtype=torch.int8)
        for start in range(0, len(inputs), self._batch_size):
            batch = slice(start, start + self._batch_size)
            codes[batch] = answer(inputs[batch])
            self.items += len(codes[batch])
        return codes
