"""The target as it is deployed: one kind of target is chosen, built or found, put behind its defence, and opened."""

import inspect
import os
import shutil
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aach_lightning.config.method import METHODS, CustomMethodConfig
from aach_lightning.config.target import NoDefenceConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.errors import ConfigError
from aach_lightning.networks.build import build_defence
from aach_lightning.networks.defences import with_defence
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.networks.inference import relax_pairs
from aach_lightning.runtime import ranks
from aach_lightning.runtime.checkpoints import load_weights
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.instantiate import partial_of
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.hardening import ensure_hardened
from aach_lightning.targets.index import LEARN, CodeIndex, read_report, write_index
from aach_lightning.targets.method import TargetModule
from aach_lightning.targets.service import Target
from aach_lightning.targets.training import NETWORK, build_target, ensure_target

_CUSTOM = "aach_lightning.targets.custom_deployment.CustomDeployment"


class Deployment(ABC):
    """One kind of target: `target.method._target_` names a subclass, or a method that trains a target here.

    Args:
        experiment: Says what is deployed and on which data.

    Attributes:
        weights: Files of an artifact that hold its weights; those that a target goes without may be missing.
        advice: What to try where its codes look collapsed.
        ranks_vectors: As of `TargetModule`.
    """

    weights: tuple[str, ...] = (NETWORK,)
    advice = LEARN
    ranks_vectors = False

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.config = experiment, experiment.config.target

    @abstractmethod
    def build(self) -> Artifact:
        """Find or build the target without its defence: weights, index of codes, and report."""

    @abstractmethod
    def network(self, artifact: Artifact) -> HashingNetwork:
        """Its network without the defence, in eval mode: what a white-box attacker has."""

    def has_gradients(self) -> bool:
        """Whether there is a white box: whether an attacker with the weights could follow gradients."""
        return True

    def identity(self) -> dict[str, Any]:
        """What a result depends on of `target`, before anything is built."""
        return named(self.experiment.config, "target")["target"]  # type: ignore[no-any-return]

    def ensure(self) -> Artifact:
        """Find or build the target as an attacker meets it, behind its defence.

        A defence gives an artifact of its own, and so a key and a ledger of its own, as the answers are other ones.
        Behind it lie the same weights, and an index of codes through the defence.
        """
        target, defence = self.build(), self.config.defence
        if isinstance(defence, NoDefenceConfig):
            return target
        depends_on = {"target": target.key, **named(self.config, "defence")}
        return self.experiment.store.get_or_build("defended", depends_on, lambda folder: self._defend(target, folder))

    def answering(self, artifact: Artifact) -> Target:
        """What answers behind the doors, where the run computes."""
        return with_defence(self.network(artifact), build_defence(self.config.defence)).to(self.experiment.device)

    def _defend(self, target: Artifact, folder: Path) -> None:
        network = with_defence(self.network(target), build_defence(self.config.defence))
        here, description = self.experiment, "target hashes the collection, defended"
        relaxed = relax_pairs(network, here.pairs.batch, here.everything, here.device, description)
        if not ranks.is_first():
            return
        for name in self.weights:
            if (target.path / name).exists():
                _link(target.path / name, folder / name)
        epoch, vectors = int(read_report(target)["kept_epoch"]), relaxed if self.ranks_vectors else None
        write_index(here, folder, CodeIndex.of(relaxed), epoch, self.advice, vectors)


class TrainedDeployment(Deployment):
    """A target that is trained here, once, whatever is done to it later; hardened where asked for."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        self.ranks_vectors = bool(_named_class(experiment).ranks_vectors)

    def build(self) -> Artifact:
        """Train the network, then harden it, which gives an artifact of its own."""
        return ensure_hardened(self.experiment, ensure_target(self.experiment))

    def network(self, artifact: Artifact) -> HashingNetwork:
        """The trained network."""
        network = build_target(self.config, self.experiment.pairs)
        load_weights(network, artifact.path / NETWORK)
        return network.eval()


def deployment_of(experiment: Experiment) -> Deployment:
    """The kind of target that is configured.

    Raises:
        ConfigError: If `target.method._target_` names something else.
    """
    found = _named_class(experiment)
    if isinstance(found, type) and issubclass(found, Deployment):
        return found(experiment)
    if isinstance(found, type) and issubclass(found, TargetModule):
        return TrainedDeployment(experiment)
    raise ConfigError(
        f"target.method._target_={experiment.config.target.method._target_}: must name a TargetModule, which trains a "
        "target, or a Deployment"
    )


def list_targets() -> dict[str, str]:
    """The choices of `target=`, each with one line about it.

    Example:
        >>> list_targets()["dchmt"]
        'DCHMT (Tu et al., ACM MM 2022): distances of selections, small for similar items, else sqrt(2 K vartheta).'
    """
    return {name: (inspect.getdoc(kind) or "").splitlines()[0] for name, kind in METHODS.items()}


def ensure_deployed(experiment: Experiment) -> Artifact:
    """Find or build the target as an attacker meets it; see `Deployment.ensure`."""
    return deployment_of(experiment).ensure()


def load_target(experiment: Experiment, artifact: Artifact) -> HashingNetwork:
    """The network of a target artifact without its defence, in eval mode."""
    return deployment_of(experiment).network(artifact)


def deployed_target(experiment: Experiment, artifact: Artifact) -> Target:
    """What answers behind the doors: the target with its defence, where the run computes; or a client over HTTP."""
    return deployment_of(experiment).answering(artifact)


def _named_class(experiment: Experiment) -> Any:
    method = experiment.config.target.method
    own = isinstance(method, CustomMethodConfig)  # names the system itself
    return partial_of({"_target_": _CUSTOM} if own else asdict(method)).func


def _link(file: Path, place: Path) -> None:
    """The same file under a second name, or a copy of it where the disk knows no such thing."""
    place.unlink(missing_ok=True)  # of a build that was killed
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
