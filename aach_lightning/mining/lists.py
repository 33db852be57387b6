"""Triplets from ranked lists of a gallery: what stands before something else in a list is nearer than it."""

import torch
from torch import Tensor

from aach_lightning.mining.epoch import MinedBatch
from aach_lightning.mining.miners import Miner
from aach_lightning.mining.triplets import Triplets
from aach_lightning.runtime.seeding import torch_generator


def list_distances(lists: Tensor, gallery: int, code_length: int) -> Tensor:
    """Distances in bits that would give these lists if they grew evenly from 0 to K over the whole gallery.

    Only their order is known to be right. Items that are not in a list share the mean of the places behind it.

    Args:
        lists: int64, N x k, ids of gallery items, nearest first.
        gallery: G, at least 2.
        code_length: K.

    Returns:
        float64, N x G.

    Example:
        >>> list_distances(torch.tensor([[2, 0]]), gallery=5, code_length=8)
        tensor([[2., 6., 0., 6., 6.]], dtype=torch.float64)
    """
    length = lists.shape[1]
    places = torch.full((len(lists), gallery), (length + gallery - 1) / 2, dtype=torch.float64)
    places.scatter_(1, lists, torch.arange(length, dtype=torch.float64).expand_as(lists))
    return places * code_length / (gallery - 1)


def mine_lists(
    image_distances: Tensor, text_distances: Tensor, miner: Miner, batch_size: int, seed: int, epoch: int
) -> list[MinedBatch]:
    """Mine one epoch of triplets in both directions: queried items are anchors, once each, and gallery items the rest.

    Args:
        image_distances: float64, M x G, from `list_distances`: of the M queried images to the texts of the gallery.
        text_distances: float64, M x G, of the M queried texts to its images.
        miner: Chooses the triplets; one that works within batches sees as many gallery items as a full batch
            has anchors.
        batch_size: Anchors of each modality in a batch.
        seed: Base seed.
        epoch: Number of the epoch; the same (seed, epoch) gives the same batches.

    Returns:
        Batches whose rows 0 to M - 1 are the queried pairs and M to M + G - 1 those of the gallery.
    """
    generator = torch_generator(seed, "mining", epoch)
    order = torch.randperm(len(image_distances), generator=generator)
    distances = (image_distances, text_distances)
    return [_mine(distances, anchors, miner, batch_size, generator) for anchors in torch.split(order, batch_size)]


def _mine(
    distances: tuple[Tensor, Tensor], anchors: Tensor, miner: Miner, batch_size: int, generator: torch.Generator
) -> MinedBatch:
    queried, gallery = distances[0].shape
    if miner.within_batch:
        shown = torch.randperm(gallery, generator=generator)[:batch_size]
        everyone = torch.arange(len(anchors))
        found = [_behind(miner(part[anchors][:, shown], everyone, generator), len(anchors)) for part in distances]
        return MinedBatch(torch.cat([anchors, queried + shown]), *found)
    found = [_behind(miner(part, anchors, generator), queried) for part in distances]
    rows = torch.unique(torch.cat([anchors, *(triplets.rows() for triplets in found)]))
    return MinedBatch(rows, *(triplets.renumbered(rows) for triplets in found))


def _behind(triplets: Triplets, queried: int) -> Triplets:
    """The same triplets where gallery items are numbered behind the queried ones."""
    return Triplets(triplets.anchor, triplets.positive + queried, triplets.negative + queried)
