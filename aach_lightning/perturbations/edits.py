"""Texts changed word by word, by learned edits and by random ones: what is sent can really be typed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aach_lightning.perturbations.descent import Hash, Loss
from aach_lightning.runtime.seeding import torch_generator


@dataclass(frozen=True)
class WordEdits:
    """Adds and removes words of texts, one after the other, so that a loss falls; a `Learner`.

    At each step the gradient ranks all words by how much the loss would fall to first order if the word was added or
    removed (HotFlip, Ebrahimi et al., ACL 2018); the best of them are then really tried, and the one with the smallest
    loss is kept if it is smaller than before. A word is changed once, and the last word of a text stays. An item that
    nothing improves any more has fewer edits.

    Attributes:
        edits: Largest number of words to add or remove.
        candidates: How many words are tried at each step.
        removable: Whether words may be removed; else they are only added.
    """

    edits: int
    candidates: int
    removable: bool

    def __call__(self, hashing: Hash, loss: Loss, clean: Tensor, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Differences, whole numbers, of N x D texts that say how often each word occurs; an added word occurs once."""
        edited = clean.clone()
        for _ in range(self.edits):
            before, gradient = _gradient(hashing, loss, clean, edited)
            flipped = _flipped(edited)
            expected = gradient * (flipped - edited)
            expected.masked_fill_(~_allowed(clean, edited, self.removable), torch.inf)
            # in the order of the vocabulary where two words promise the same
            expected, tried = expected.sort(dim=1, stable=True)
            expected, tried = expected[:, : self.candidates], tried[:, : self.candidates]
            trials = edited.repeat(tried.shape[1], 1, 1)
            columns = tried.T[:, :, None]
            trials.scatter_(2, columns, flipped.expand_as(trials).gather(2, columns))
            with torch.no_grad():
                hashed = hashing(trials.flatten(0, 1)).view(len(trials), len(clean), -1)
                after = torch.stack([loss(one, trial - clean) for one, trial in zip(hashed, trials, strict=True)])
            after = after.masked_fill(expected.T.isinf(), torch.inf)
            smallest, best = after.min(dim=0)
            better = smallest < before
            if not bool(better.any()):
                break
            chosen = trials[best, torch.arange(len(clean), device=clean.device)]
            edited = torch.where(better[:, None], chosen, edited)
        return edited - clean, None


def random_edits(texts: Tensor, ids: Tensor, edits: int, removable: bool, seed: int) -> Tensor:
    """Add and remove words at random, the floor that learned edits must beat.

    Each edit is an addition or, where words may be removed, with probability 1/2 a removal; then every word that it
    could be is equally likely. A word is changed once, and the last word of a text stays.

    Args:
        texts: float, N x D, the number of times that each word occurs.
        ids: int64, N; the draws of an item depend on its id alone.
        edits: Number of words to add or remove; fewer where no word is left.
        removable: Whether words may be removed.
        seed: Base seed.

    Returns:
        The edited texts, float, N x D.
    """
    edited = texts.clone()
    for item, number in enumerate(ids.tolist()):
        generator = torch_generator(seed, "edits", number)
        for _ in range(edits):
            allowed = _allowed(texts[item : item + 1], edited[item : item + 1], removable)[0]
            present = edited[item] > 0
            remove = bool(torch.rand((), generator=generator) < 0.5)
            pool = [choice for choice in (allowed & present, allowed & ~present) if bool(choice.any())]
            if not pool:
                break
            words = pool[0 if remove else -1].nonzero()[:, 0]
            word = words[torch.randint(len(words), (), generator=generator)]
            edited[item, word] = _flipped(edited[item, word])
    return edited


def _gradient(hash_texts: Hash, loss: Loss, texts: Tensor, edited: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        delta = (edited - texts).requires_grad_()
        values = loss(hash_texts(texts + delta), delta)
        (gradient,) = torch.autograd.grad(values.sum(), delta)
    return values.detach(), gradient


def _flipped(texts: Tensor) -> Tensor:
    """Every word the other way: absent ones occur once, present ones do not occur."""
    return (texts <= 0).to(texts.dtype)


def _allowed(texts: Tensor, edited: Tensor, removable: bool) -> Tensor:
    """Which words may be changed next: bool, N x D."""
    present = edited > 0
    allowed = edited == texts
    may_remove = (present.sum(dim=1, keepdim=True) > 1) & removable
    return allowed & (~present | may_remove)
