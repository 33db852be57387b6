"""A target that answers over HTTP: a run keeps who it is, and the codes of the collection."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aach_lightning.config.method import HttpConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.texts import unnamed
from aach_lightning.errors import ConfigError
from aach_lightning.networks.hashing import HashingNetwork
from aach_lightning.runtime import ranks
from aach_lightning.runtime.batches import map_batches
from aach_lightning.runtime.depends import named
from aach_lightning.runtime.files import digest_json, write_json
from aach_lightning.runtime.store import Artifact
from aach_lightning.targets.deployment import Deployment
from aach_lightning.targets.index import CONVERT, REPORT, CodeIndex, write_index
from aach_lightning.targets.remote import HttpTarget, open_remote


class RemoteDeployment(Deployment):
    """A service behind a URL. Of it there is nothing but an index of codes; a defence is the service's own business.

    The whole collection is sent once, and counted as `index_items`. This stands for the database that the service has
    hashed itself; no attacker pays for it or sees it. The key is that of the weights that the service names, so that
    equal ones share a ledger, and others never do.
    """

    advice = CONVERT

    @cached_property
    def method(self) -> HttpConfig:
        """Where it answers, and how it is asked."""
        return cast(HttpConfig, self.config.method)

    def identity(self) -> dict[str, Any]:
        """The service by what it says of its weights, not by its address: it is asked for that."""
        return {"name": self.config.name, "deployed": self.ensure().key}

    def build(self) -> Artifact:
        """Ask who the service is, and hash the collection where that was not done before.

        Raises:
            ConfigError: If the service is made for other sizes or words than the data.
            TargetError: If it does not answer.
        """
        return self._artifact

    def network(self, artifact: Artifact) -> HashingNetwork:
        """There is none.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"target.method.url={self.method.url}: nobody but the service has its weights")

    def answering(self, artifact: Artifact) -> HttpTarget:
        """A client of the service."""
        return open_remote(self.method, self.config.code_length)

    @cached_property
    def _artifact(self) -> Artifact:
        here, service = self.experiment, open_remote(self.method, self.config.code_length)
        about = ranks.on_first(service.about)
        check_about(about, here, self.method)
        depends_on = {
            "identity": about.get("identity") or self.method.url,
            **named(self.config, "code_length"),
            "validation": [self.config.validation, self.config.seed],
            **here.fingerprints,
        }
        return here.store.get_or_build("remote", depends_on, lambda folder: _build(here, service, folder))


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


def _build(experiment: Experiment, service: HttpTarget, folder: Path) -> None:
    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = experiment.pairs.batch(rows)
        return service.hash_images(batch.images), service.hash_texts(batch.texts)

    index = CodeIndex(*map_batches(compute, experiment.everything, "the service hashes the collection"))
    if not ranks.is_first():
        return
    write_index(experiment, folder, index, advice=CONVERT)
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    write_json(folder / REPORT, {**report, "index_items": 2 * len(experiment.pairs)})
