"""A target that answers over HTTP: a run keeps who it is, and the codes of the collection."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.method import HttpConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.texts import unnamed
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime.files import digest_json
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.answering import AnsweringDeployment
from aach_lightning.targets.index import CONVERT
from aach_lightning.targets.remote import HttpTarget, open_remote


class RemoteDeployment(AnsweringDeployment):
    """A service behind a URL, known by the weights that it names."""

    advice = CONVERT
    stage = "remote"

    @cached_property
    def method(self) -> HttpConfig:
        """Where it answers, and how it is asked."""
        return cast(HttpConfig, self.config.method)

    @cached_property
    def _service(self) -> HttpTarget:
        return open_remote(self.method, self.config.code_length)

    def known_as(self) -> Any:
        """What the service says of its weights; its address where it says nothing.

        Raises:
            ConfigError: If the service is made for other sizes or words than the data.
            TargetError: If it does not answer.
        """
        about = self._service.about()
        check_about(about, self.experiment, self.method)
        return about.get("identity") or self.method.url

    def codes(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Ask for them."""
        batch = self.experiment.pairs.batch(rows)
        return self._service.hash_images(batch.images), self._service.hash_texts(batch.texts)

    def network(self, artifact: Artifact) -> HashingNetwork:
        """There is none.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"target.method.url={self.method.url}: nobody but the service has its weights")

    def answering(self, artifact: Artifact) -> HttpTarget:
        """A client of the service."""
        return self._service


def words_hash(words: Sequence[str]) -> str | None:
    """What two vocabularies have in common where they are the same; None where entries of texts are no words."""
    return None if tuple(words) == unnamed(len(words)) else digest_json(list(words))


def check_about(about: dict[str, Any], experiment: Experiment, method: HttpConfig) -> None:
    """Compare what a service says of itself with the configuration and the data.

    Raises:
        ConfigError: Lists what differs.
    """
    pairs = experiment.pairs
    words = words_hash(pairs.words)
    wrong = [
        f"{name}: the service has {about.get(name)}, {key} has {value}"
        for name, value, key in (
            ("code_length", experiment.config.target.code_length, "target.code_length"),
            ("image_size", pairs.images.shape[-1], "data.image_size"),
            ("text_width", len(pairs.words), "the vocabulary of the data"),
        )
        if about.get(name) != value
    ]
    if about.get("words_hash") is not None and words is not None and about["words_hash"] != words:
        wrong.append("words: the service has another vocabulary than the data; give its own as data.vocabulary")
    most = about.get("most_items")
    if isinstance(most, int) and most < method.items:
        wrong.append(f"most_items: the service answers {most} a request; choose target.method.items={most} or less")
    if wrong:
        raise ConfigError(f"target.method.url={method.url} does not fit:\n" + "\n".join(f"  - {one}" for one in wrong))
