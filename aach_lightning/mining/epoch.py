"""The batches of one epoch of surrogate training, mined anew from (seed, epoch)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from aach_lightning.mining.miners import Miner
from aach_lightning.mining.triplets import Triplets
from aach_lightning.networks.hashing import relaxed_distance
from aach_lightning.runtime.seeding import torch_generator


@dataclass(frozen=True)
class MinedBatch:
    """Some of the M queried pairs and the triplets among them.

    Attributes:
        rows: int64, B. Which of the M queried pairs are in the batch.
        image_anchored: Anchors are images, positives and negatives texts; positions inside `rows`.
        text_anchored: Anchors are texts, positives and negatives images; positions inside `rows`.
    """

    rows: Tensor
    image_anchored: Triplets
    text_anchored: Triplets


def code_distances(image_codes: Tensor, text_codes: Tensor) -> Tensor:
    """Hamming distances of M queried images to the M queried texts, int64, M x M, from the target's codes, M x K."""
    return relaxed_distance(image_codes.float(), text_codes.float()).round().long()


def mine_epoch(distances: Tensor, miner: Miner, batch_size: int, seed: int, epoch: int) -> list[MinedBatch]:
    """Mine one epoch of triplets in both directions; every queried pair is an anchor once.

    Args:
        distances: int64, M x M, of M images to the M texts of the same pairs.
        miner: Chooses the triplets.
        batch_size: Anchors of each modality in a batch.
        seed: Base seed.
        epoch: Number of the epoch; the same (seed, epoch) gives the same batches.

    Returns:
        Batches without any triplet are kept: their pairs still take part in the quantisation loss.
    """
    generator = torch_generator(seed, "mining", epoch)
    order = torch.randperm(len(distances), generator=generator)
    return [_mine(distances, anchors, miner, generator) for anchors in torch.split(order, batch_size)]


def _mine(distances: Tensor, anchors: Tensor, miner: Miner, generator: torch.Generator) -> MinedBatch:
    if miner.within_batch:
        block = distances[anchors][:, anchors]
        everyone = torch.arange(len(anchors))
        return MinedBatch(anchors, miner(block, everyone, generator), miner(block.T, everyone, generator))
    image_anchored = miner(distances, anchors, generator)
    text_anchored = miner(distances.T, anchors, generator)
    rows = torch.unique(torch.cat([anchors, image_anchored.rows(), text_anchored.rows()]))
    return MinedBatch(rows, image_anchored.renumbered(rows), text_anchored.renumbered(rows))
