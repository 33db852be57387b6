"""The surrogate's network from the configuration: one, or an ensemble."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.data.experiment import Experiment
from aach_lightning.networks.build import build_network
from aach_lightning.networks.ensemble import EnsembleNetwork
from aach_lightning.networks.hashing import Encoder, HashingNetwork
from aach_lightning.networks.inference import encode_images
from aach_lightning.runtime.seeding import derive_seed


def build_surrogate(experiment: Experiment) -> HashingNetwork:
    """The surrogate's network with its initial weights: each image net with each seed, averaged."""
    config, pairs, surrogate = experiment.config, experiment.pairs, experiment.config.surrogate
    size, width = pairs.images.shape[-1], len(pairs.words)
    nets = [surrogate.image_net, *surrogate.members.values()] * surrogate.seeds
    members = []
    for number, net in enumerate(nets):
        # the first is the same alone and in an ensemble
        seed = derive_seed(config.seed, "surrogate", *([number] if number else []))
        members.append(build_network(net, surrogate.text_net, config.target.code_length, size, width, seed))
    return members[0] if len(members) == 1 else EnsembleNetwork(members)


def read_features(
    network: HashingNetwork, experiment: Experiment, rows: NDArray[np.int64], description: str
) -> list[Tensor]:
    """What the image backbone of each member makes of the images of some rows, float32, each N x F."""
    halves = [cast(Encoder, member.image) for member in network.members]
    return [encode_images(half, experiment.pairs, rows, description, experiment.device) for half in halves]


def reads_features(network: HashingNetwork) -> bool:
    """Whether all image backbones are frozen, so that what they give is computed once."""
    return all(isinstance(member.image, Encoder) and member.image.frozen for member in network.members)
