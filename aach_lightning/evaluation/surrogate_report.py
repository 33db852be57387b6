"""How much of the target a surrogate has learned, on pairs that were never queried."""

import numpy as np
import torch
from numpy.typing import NDArray

from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.inference import hash_pairs
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.seeding import numpy_generator
from aach_lightning.runtime.store import Artifact
from aach_lightning.surrogates.agreement import bit_agreement, distance_correlation, match_bits
from aach_lightning.surrogates.training import Answers, load_answers, load_surrogate
from aach_lightning.targets.index import CodeIndex


def held_out_rows(split: Split, limit: int, seed: int) -> NDArray[np.int64]:
    """Database rows outside the train part, from which no attacker's pairs come; may be empty."""
    return numpy_generator(seed, "held_out").permutation(split.outside)[:limit]


def agreement(experiment: Experiment, surrogate: Artifact, index: CodeIndex) -> dict[str, float]:
    """The report of a run's surrogate, on as many held-out pairs as are configured."""
    held_out = held_out_rows(experiment.split, experiment.config.evaluation.held_out, experiment.config.seed)
    network, answers = load_surrogate(experiment, surrogate), load_answers(surrogate)
    return surrogate_report(network, answers, index, experiment.pairs, held_out, experiment.device)


def surrogate_report(
    surrogate: HashingNetwork,
    answers: Answers,
    index: CodeIndex,
    pairs: Pairs,
    held_out: NDArray[np.int64],
    device: torch.device,
) -> dict[str, float]:
    """Compare surrogate and target.

    The symmetry of the code (which bit is which, and its sign) is fitted on the pairs that the surrogate learned from,
    and agreement measured on others. Agreement is evaluation's business: an attacker could not compute it.

    Args:
        surrogate: In eval mode.
        answers: What the surrogate learned from.
        index: The target's codes of the whole data set.
        pairs: The data set.
        held_out: int64, rows that were never queried; those that the surrogate learned from are left out.
        device: Where to compute.

    Returns:
        `bit_agreement_image`, `bit_agreement_text` in [0, 1] (0.5 by chance), `distance_spearman` in [-1, 1],
        `map_i2t`, `map_t2i` of the surrogate's own codes and `target_map_i2t`, `target_map_t2i` of the target's, both
        on the held-out pairs alone. Empty where there are none.
    """
    held_out = held_out[~np.isin(held_out, np.concatenate([answers.rows, answers.gallery]))]
    if not len(held_out):
        return {}
    images, texts = hash_pairs(surrogate, pairs.batch, held_out, device)
    queried_images, queried_texts = hash_pairs(surrogate, pairs.batch, answers.rows, device)
    answered = torch.cat([index.image_codes[answers.rows], index.text_codes[answers.rows]])
    matching = match_bits(torch.cat([queried_images, queried_texts]), answered)
    target_images, target_texts = index.image_codes[held_out], index.text_codes[held_out]
    labels = torch.from_numpy(pairs.labels[held_out])
    return {
        "held_out_pairs": float(len(held_out)),
        "bit_agreement_image": bit_agreement(images, target_images, matching),
        "bit_agreement_text": bit_agreement(texts, target_texts, matching),
        "distance_spearman": distance_correlation(images, texts, target_images, target_texts),
        "map_i2t": mean_average_precision(images, labels, texts, labels),
        "map_t2i": mean_average_precision(texts, labels, images, labels),
        "target_map_i2t": mean_average_precision(target_images, labels, target_texts, labels),
        "target_map_t2i": mean_average_precision(target_texts, labels, target_images, labels),
    }
