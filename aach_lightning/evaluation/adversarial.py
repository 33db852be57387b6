"""What a run leaves of its attacked queries for others: as they were sent to the target."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.adversarial_set import AdversarialSet
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split
from aach_lightning.evaluation.protocol import as_sent, attacked_inputs
from aach_lightning.targets.contents import image_levels


def adversarial_set(
    config: RunConfig, pairs: Pairs, split: Split, target: str, rows: NDArray[np.int64], deltas: dict[Modality, Tensor]
) -> AdversarialSet:
    """The attacked queries of a run.

    Args:
        config: Names the attack.
        pairs: The data set.
        split: Says what was searched.
        target: Key of the system under attack.
        rows: int64, Q attacked rows.
        deltas: By attacked half: float, Q x the shape of this half.
    """
    batch = pairs.batch(rows)
    sent = {half: as_sent(attacked_inputs(batch, half) + delta, half) for half, delta in deltas.items()}
    return AdversarialSet(
        rows=rows,
        names=tuple(pairs.names[row] for row in rows.tolist()),
        labels=pairs.labels[rows],
        label_names=pairs.label_names,
        images=image_levels(sent[Modality.image]).numpy() if Modality.image in sent else None,
        texts=sent[Modality.text].to(torch.float32) if Modality.text in sent else None,
        about={
            "attack": config.attack.name,
            "data": pairs.name,
            "data_hash": pairs.fingerprint,
            "split_hash": split.fingerprint,
            "target": target,
            "seed": config.seed,
        },
    )
