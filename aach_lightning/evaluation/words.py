"""Words that an attack has added to texts and removed from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.attack import AttackConfig
from aach_lightning.config.choices import Modalities, TextForm
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.errors import ConfigError
from aach_lightning.evaluation.result import Query

_ROWS = 4096  # at a time


def edits_texts(config: AttackConfig) -> bool:
    """Whether texts are attacked, and word by word."""
    return config.text_form is TextForm.edits and config.modality is not Modalities.image


def check_words(experiment: Experiment) -> None:
    """Refuse texts that cannot be edited word by word, where the attack does that.

    Raises:
        ConfigError: If an entry of a text is no number of occurrences.
    """
    pairs = experiment.pairs
    if not edits_texts(experiment.config.attack):
        return
    parts = (pairs.texts[start : start + _ROWS].astype(np.float32) for start in range(0, len(pairs), _ROWS))
    if pairs.text_low < 0 or not all(bool(((part >= 0) & (part == np.floor(part))).all()) for part in parts):
        raise ConfigError(
            f"attack.text_form=edits: the texts of {pairs.name} are vectors with values in [{pairs.text_low:g}, "
            f"{pairs.text_high:g}] in which no entry stands for a word. Words can be added and removed where a text is "
            "a bag of words (data.encoder=null); else use attack.text_form=continuous."
        )


def texts_of(pairs: Pairs, rows: NDArray[np.int64]) -> Tensor:
    """Text vectors, float32, Q x D, without the images."""
    return torch.from_numpy(pairs.texts[rows].astype(np.float32))


def changed_words(clean: Tensor, sent: Tensor) -> Tensor:
    """Number of words that were added or removed: int64, N, from N x D numbers of occurrences."""
    return ((clean > 0) != (sent > 0)).sum(dim=1)


def mean_changed_words(pairs: Pairs, rows: NDArray[np.int64], delta: Tensor) -> float:
    """Mean number of words that were added to or removed from some texts: float, Q x D, the change of each."""
    texts = texts_of(pairs, rows)
    return float(changed_words(texts, texts + delta).double().mean())


def word_changes(pairs: Pairs, rows: NDArray[np.int64], deltas: Mapping[Query, Tensor]) -> list[dict[str, Any]]:
    """What was done to each text.

    Args:
        pairs: The data set.
        rows: int64, Q attacked rows.
        deltas: float, Q x D, what each attacker has changed.

    Returns:
        For each text its `name`, its `caption` as a person wrote it, its `words`, and for each attacker the words that
        it has `added` and `removed`; words in the order of the vocabulary, those without a name as #0, #1, ...
    """
    names = np.asarray(pairs.words, dtype=object)
    texts = texts_of(pairs, rows)
    changes: list[dict[str, Any]] = []
    for item, row in enumerate(rows.tolist()):
        before = (texts[item] > 0).numpy()
        own: dict[str, Any] = {
            "name": pairs.names[row],
            "caption": pairs.captions[row],
            "words": names[before].tolist(),
        }
        for query, delta in deltas.items():
            after = (texts[item] + delta[item] > 0).numpy()
            own[query] = {"added": names[after & ~before].tolist(), "removed": names[before & ~after].tolist()}
        changes.append(own)
    return changes
