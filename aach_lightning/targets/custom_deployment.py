"""A target of one's own, which answers in this process: `target=custom`, or what `aach_lightning.attack` was given."""

from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aach_lightning.config.method import CustomMethodConfig
from aach_lightning.data.modality import Modality
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime.instantiate import instantiate, with_arguments
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.answering import AnsweringDeployment
from aach_lightning.targets.blackbox import EvaluationDoor
from aach_lightning.targets.custom import as_network, gives_gradients, identity_of
from aach_lightning.targets.index import CodeIndex
from aach_lightning.targets.service import Service, Target

TARGET = "target"  # among the objects of an experiment
_TRIED = 16  # pairs on which a network is tried before it gives gradients, and that are asked again
_MOST_DIFFERENT = 0.05  # share of bits: rounding turns some, and so does a defence that draws at random


class CustomDeployment(AnsweringDeployment):
    """Any object with `hash_images` and `hash_texts`, known by its name, or by its class and weights."""

    advice = "Are images in [0, 1], and texts with entries as the vocabulary of the data names them, what it expects"
    stage = "custom"

    @cached_property
    def system(self) -> Target:
        """The object that the experiment was given, or one that is created from the configuration, once.

        Raises:
            ConfigError: If it cannot be created, or lacks one of the two methods.
        """
        objects = self.experiment.objects
        if TARGET not in objects:
            described = with_arguments(self.config.method)
            del described["identity"]
            made = instantiate(described)
            objects[TARGET] = made.eval().to(self.experiment.device) if isinstance(made, nn.Module) else made
        system = objects[TARGET]
        missing = [name for name in ("hash_images", "hash_texts") if not callable(getattr(system, name, None))]
        if missing:
            raise ConfigError(
                "a target needs hash_images(images) and hash_texts(texts): "
                f"{type(system).__name__} has no {' and no '.join(missing)}"
            )
        return cast(Target, system)

    def known_as(self) -> dict[str, str]:
        """Its name, or its class and weights; raises as `identity_of`."""
        return identity_of(self.system, cast(CustomMethodConfig, self.config.method).identity)

    def checked(self, artifact: Artifact) -> Artifact:
        """The index; one that was found must be of a system that still answers alike.

        Raises:
            ConfigError: If it answers otherwise than the one that is known by the same name.
        """
        rows = self.experiment.everything[:_TRIED]
        if artifact.built:
            return artifact
        index = CodeIndex.load(artifact.path)
        pairs = zip(self.codes(rows), (index.image_codes[rows], index.text_codes[rows]), strict=True)
        turned = max(float((now != before).double().mean()) for now, before in pairs)
        if turned > _MOST_DIFFERENT:
            raise ConfigError(
                f"the target answers otherwise than the one that is known as {self.known_as()} in {artifact.path}: "
                f"{turned:.0%} of the bits of {len(rows)} items differ. Give it another identity "
                "(target.method.identity)"
            )
        return artifact

    def codes(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Ask for them by the door of the evaluation, which checks them."""
        batch, door = self.experiment.pairs.batch(rows), EvaluationDoor(self.system, self.config.code_length)
        return door.image_codes(batch.images), door.text_codes(batch.texts)

    def has_gradients(self) -> bool:
        """Whether an attacker with its weights could follow gradients in every attacked modality."""
        return gives_gradients(self.system, {half: self._inputs[half] for half in self.experiment.modalities})

    def network(self, artifact: Artifact) -> HashingNetwork:
        """A copy of the system as a source of gradients.

        Raises:
            ConfigError: If it gives none.
        """
        if not isinstance(self.system, nn.Module) or not self.has_gradients():
            raise ConfigError(
                f"{type(self.system).__name__} gives no gradients, which needs an nn.Module whose answers are floats "
                "that depend smoothly on its inputs: choose attack.source=surrogate or queries"
            )
        return as_network(self.system, self.config.code_length, self._inputs)

    def answering(self, artifact: Artifact) -> Target:
        """The system itself."""
        return self.system

    @cached_property
    def _inputs(self) -> dict[Modality, Tensor]:
        device = Service(self.system, self.config.code_length).device
        batch = self.experiment.pairs.batch(self.experiment.everything[:_TRIED]).to(device)
        return {half: half.of(batch) for half in Modality}
