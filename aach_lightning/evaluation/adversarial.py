"""The attacked queries of a run as they were sent to the target, for others to test on."""

from collections.abc import Mapping

import torch
from torch import Tensor

from aach_lightning.data.adversarial_set import AdversarialSet
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.evaluation.protocol import as_sent
from aach_lightning.targets.contents import image_levels


def adversarial_set(experiment: Experiment, target: str, deltas: Mapping[Modality, Tensor]) -> AdversarialSet:
    """The attacked queries of a run.

    Args:
        experiment: Names the attack, and has the attacked rows.
        target: Key of the system under attack.
        deltas: By attacked half: float, Q x the shape of this half.
    """
    pairs, rows = experiment.pairs, experiment.attacked
    batch = pairs.batch(rows)
    sent = {half: as_sent(half.of(batch) + delta, half) for half, delta in deltas.items()}
    return AdversarialSet(
        rows=rows,
        names=tuple(pairs.names[row] for row in rows.tolist()),
        labels=pairs.labels[rows],
        label_names=pairs.label_names,
        images=image_levels(sent[Modality.image]).numpy() if Modality.image in sent else None,
        texts=sent[Modality.text].to(torch.float32) if Modality.text in sent else None,
        about={
            "attack": experiment.config.attack.name,
            "data": pairs.name,
            "data_hash": pairs.fingerprint,
            "split_hash": experiment.split.fingerprint,
            "target": target,
            "seed": experiment.config.seed,
        },
    )
