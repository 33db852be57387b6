"""What a script calls: attack(target, pairs) gives a Result; prepare(target, pairs) the pieces of it, one by one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor

from aach_lightning import cli
from aach_lightning.attacks.build import make_learner, make_objective
from aach_lightning.attacks.items import AttackBatch
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.source import Source, Task, build_bank
from aach_lightning.config.attack import TargetCodeObjectiveConfig
from aach_lightning.config.choices import SourceName
from aach_lightning.data import load
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch, Pairs
from aach_lightning.data.texts import unnamed
from aach_lightning.errors import ConfigError
from aach_lightning.evaluation import result as measured
from aach_lightning.evaluation.attackers import GradientAttacker, find_attackers
from aach_lightning.evaluation.exhibits import GALLERY, load_exhibits
from aach_lightning.evaluation.gallery import Exhibit
from aach_lightning.reports.run_folder import PICTURE, publish
from aach_lightning.reports.table import show
from aach_lightning.runtime.compose import compose_config, quoted
from aach_lightning.runtime.launch import processes
from aach_lightning.runtime.store import Artifact
from aach_lightning.surrogates.training import ensure_surrogate
from aach_lightning.targets.access import open_target
from aach_lightning.targets.blackbox import BlackBox, round_to_8_bits
from aach_lightning.targets.custom import code_length_of
from aach_lightning.targets.custom_deployment import TARGET
from aach_lightning.targets.deployment import ensure_deployed
from aach_lightning.targets.service import Target

_QUERY, _TRAIN, _ATTACKED = 500, 3000, 200  # sizes of conf/protocol/random.yaml and of evaluation
_ANY = ("split.query=1", "split.train=1", "budget.pairs=1", "evaluation.queries=1")  # fits all pairs
_WIDTH = 100  # of a printed table


def load_pairs(source: str | Path, **keys: Any) -> Pairs:
    """Read or draw image-text pairs.

    Args:
        source: A folder with `pairs.csv` (docs/data.md), or the name of an option of `data`: scenes, mirflickr25k, ...
        **keys: Keys of `data`, such as `image_size=112` or `root="photos"`.

    Raises:
        ConfigError: If a key or value is none.
        DataError: If the pairs cannot be read.
    """
    return _load(_data_overrides(source, keys))


def attack(
    target: Target | str,
    pairs: Pairs | str | Path,
    *,
    budget: int = 500,
    epsilon: float = 8,
    seed: int = 0,
    identity: str | None = None,
    overrides: Sequence[str] = (),
) -> "Result":  # seven parameters: those that a paper's table names, beside what is attacked
    """Attack a system, and measure how much worse it retrieves: what `python attack.py` does, with an object as target.

    Finished stages are found in the store, answers in the ledger of the target, as by the commands.

    Args:
        target: An object with `hash_images` and `hash_texts`, such as an nn.Module in eval mode; or the name of an
            option of `target`, which is trained on these pairs: dcmh, djsrh, ...
        pairs: The collection; or a folder with `pairs.csv`. Of fewer than 3,500 pairs a fifth are queries.
        budget: M, the number of pairs that the attacker may send.
        epsilon: Bound of the change of each pixel, in 1/255.
        seed: Of the attacker.
        identity: Names the target and its version; an nn.Module is known by its class and weights without one.
        overrides: Further keys, as attack.py takes them: `["attack=hag", "surrogate.epochs=5"]`. They win.

    Raises:
        ConfigError: If something is wrong with the configuration, or nothing tells the target from another one.
        TargetError: If the target answers with anything but codes.
    """
    prepared = prepare(target, pairs, budget=budget, epsilon=epsilon, seed=seed, identity=identity, overrides=overrides)
    return prepared.run()


def prepare(
    target: Target | str,
    pairs: Pairs | str | Path,
    *,
    budget: int = 500,
    epsilon: float = 8,
    seed: int = 0,
    identity: str | None = None,
    overrides: Sequence[str] = (),
) -> "Prepared":  # seven parameters: those of `attack`
    """An attack that has not begun, for its pieces one by one; arguments and errors as of `attack`."""
    told = [f"budget.pairs={budget}", f"attack.epsilon={epsilon}", f"seed={seed}"]
    if isinstance(pairs, Pairs):
        told += ["data=custom", "data._target_=aach_lightning.data.load.given_in_process"]
        told += [f"data.name={quoted(pairs.name)}", f"data.image_size={pairs.images.shape[-1]}"]
    else:
        chosen = _data_overrides(pairs, {})
        told += chosen
        pairs = _load([*chosen, *(text for text in overrides if text.startswith("data."))])
    objects: dict[str, Any] = {}
    if isinstance(target, str):
        told.append(f"target={target}")
    else:
        objects[TARGET] = target
        told += ["target=custom", "target.method._target_=aach_lightning.targets.custom.given_in_process"]
        told += [f"target.code_length={code_length_of(target, pairs)}"]
        told += [] if identity is None else [f"target.method.identity={quoted(identity)}"]
    told += _sizes(len(pairs), overrides)
    if pairs.words == unnamed(len(pairs.words)):
        told.append("attack.text_epsilon=0.01")  # steps in an embedding, as conf/attack has it
    config = compose_config([f"paths.output={quoted(str(_fresh_folder()))}", *told, *overrides])
    if processes(config.trainer) > 1:
        raise ConfigError(
            f"trainer.devices={config.trainer.devices}, trainer.num_nodes={config.trainer.num_nodes}: an attack from a "
            f"Python program runs in its one process, both must be 1; the commands take more, with target=custom"
        )
    return Prepared(Experiment.load(config, pairs=pairs, objects=objects))


@dataclass(frozen=True)
class Prepared:
    """An attack that has not begun.

    Attributes:
        experiment: Configuration, pairs, split and store.
    """

    experiment: Experiment

    @cached_property
    def deployed(self) -> Artifact:
        """The target as it is deployed, with the codes of the whole collection."""
        return ensure_deployed(self.experiment)

    @cached_property
    def door(self) -> BlackBox:
        """All that an attacker has of the target: answers to M queries."""
        return open_target(self.experiment, self.deployed)[0]

    def surrogate(self) -> "Surrogate":
        """Send the M pairs through the door, and train networks that answer like the target.

        Raises:
            ConfigError: If the configured attack follows no surrogate.
        """
        config = self.experiment.config
        if config.attack.source is not SourceName.surrogate:
            raise ConfigError(f"attack.source={config.attack.source}: must be surrogate for there to be one")
        alone = self.experiment.with_blocks(evaluation=replace(config.evaluation, white_box=False))
        with _deterministic_for_now():
            trained = ensure_surrogate(alone, self.deployed, self.door)
        (attacker,) = find_attackers(alone, self.deployed, self.door, trained, None)
        return Surrogate(alone, cast(GradientAttacker, attacker).source)

    def run(self) -> "Result":
        """Attack, and measure."""
        output = Path(self.experiment.config.paths.output)
        with _deterministic_for_now():
            finished = cli.finish(self.experiment)
        return Result(publish(finished.path, output), output)


@dataclass(frozen=True)
class Surrogate:
    """Networks that were trained to answer like the target.

    Attributes:
        experiment: Configuration, pairs, split and store.
        source: The networks, and what the attacker knows beside them.
    """

    experiment: Experiment
    source: Source

    def perturb(self, inputs: Tensor) -> Tensor:
        """Change images or texts by the configured attack, within epsilon; images are rounded to 8 bits.

        Args:
            inputs: Images, float32 in [0, 1], N x 3 x H x W; or texts, float32, N x D.

        Returns:
            float32, the shape of `inputs`.

        Raises:
            ConfigError: If the configured attack needs more than the surrogate's gradients: labels, queries, a goal.
        """
        here, attack = self.experiment, self.experiment.config.attack
        objective = make_objective(attack)
        aims = isinstance(attack.objective, TargetCodeObjectiveConfig)
        if objective.needs_labels or aims or attack.universal or attack.query_anchor:
            raise ConfigError(f"attack={attack.name}: perturb follows gradients of the surrogate alone; call run()")
        modality = Modality.image if inputs.ndim == 4 else Modality.text
        task = Task(
            self.source.in_precision(here), build_bank(here, self.source, modality, objective), objective, modality
        )
        module, none = AttackModule(task, make_learner(here, modality)).to(here.device), torch.empty(len(inputs), 0)
        images, texts = (inputs, none) if modality is Modality.image else (none, inputs)
        whole, changed = PairBatch(torch.arange(len(inputs)), images, texts, none.byte()), []
        for rows in torch.split(whole.ids, attack.batch_size):
            batch = PairBatch(*(part[rows] for part in vars(whole).values())).to(here.device)
            changed.append(inputs[rows] + module.predict_step(AttackBatch(batch), 0).cpu())
        perturbed = torch.cat(changed)
        return round_to_8_bits(perturbed) if modality is Modality.image else perturbed


@dataclass(frozen=True)
class Result:
    """What an attack did to a system; prints as the table of the commands.

    Attributes:
        measured: Every number, with the whole configuration: the content of result.json.
        folder: Of the run: result.json, split.json, attack.png and what else was asked for.
    """

    measured: measured.Result
    folder: Path

    def __str__(self) -> str:
        """The tables of the command line, and what the surrogate learned."""
        text = StringIO()
        show(self.measured, Console(file=text, width=_WIDTH))
        return text.getvalue()

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each direction and kind of query; columns as the fields of `evaluation.result.Row`."""
        return pd.DataFrame([asdict(row) for row in self.measured.rows])

    @property
    def pictures(self) -> list[Exhibit]:
        """Attacked images beside the clean ones, with the texts found for them; none where images were not attacked."""
        return load_exhibits(self.folder / GALLERY) if (self.folder / GALLERY).exists() else []

    @property
    def picture(self) -> Path | None:
        """File of the drawn pictures."""
        return self.folder / PICTURE if (self.folder / PICTURE).exists() else None


def _load(overrides: Sequence[str]) -> Pairs:
    config = compose_config([*_ANY, *overrides])
    return load.load_pairs(config.data, config.paths)


def _data_overrides(source: str | Path, keys: dict[str, Any]) -> list[str]:
    folder = isinstance(source, Path) or Path(source).is_dir()
    chosen = ["data=pairs", f"data.root={quoted(str(source))}"] if folder else [f"data={source}"]
    return [*chosen, *(f"data.{key}={quoted(value)}" for key, value in keys.items())]


def _sizes(pairs: int, overrides: Sequence[str]) -> list[str]:
    """Parts that fit a small collection, unless somebody chose them."""
    chosen = any(text.startswith(("protocol=", "split.", "experiment=")) for text in overrides)
    if chosen or pairs >= _QUERY + _TRAIN:
        return []
    query = max(1, pairs // 5)
    attacked = min(_ATTACKED, query)
    return [f"split.query={query}", f"split.train={min(_TRAIN, pairs // 2)}", f"evaluation.queries={attacked}"]


def _fresh_folder() -> Path:
    name = f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}_{os.getpid()}"
    runs = Path("outputs", "runs")
    return runs / f"{name}_{len(list(runs.glob(f'{name}*')))}"


@contextmanager
def _deterministic_for_now() -> Iterator[None]:
    """Training chooses deterministic kernels for the whole process: give back what the program had chosen."""
    before = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
