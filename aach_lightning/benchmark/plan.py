"""What a benchmark runs: methods of a plan, each with the values of a sweep."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aach_lightning.config.options import CONF
from aach_lightning.config.schema import RunConfig
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.compose import compose_config
from aach_lightning.runtime.files import digest_json

SEED = "seed"


@dataclass(frozen=True)
class Job:
    """One run of one method.

    Attributes:
        method: Its name in the plan.
        overrides: Of the plan and of the command line, as attack.py takes them.
        setting: What was swept, but for the seed: key and value as they were typed.
    """

    method: str
    overrides: tuple[str, ...]
    setting: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """Name of its folder: equal overrides, equal name."""
        return f"{self.method}-{digest_json(list(self.overrides))[:10]}"


def load_plan(plan: str) -> dict[str, list[str]]:
    """Methods and their overrides.

    Args:
        plan: Name of a file in conf/benchmark, without its ending, or path of a YAML file of that form.

    Raises:
        ConfigError: If there is no such file, or it is no mapping of names to lists of overrides.
    """
    known = sorted(path.stem for path in (CONF / "benchmark").glob("*.yaml"))
    path = CONF / "benchmark" / f"{plan}.yaml" if plan in known else Path(plan)
    if not path.is_file():
        raise ConfigError(f"--plan={plan}: must be one of {', '.join(known)}, or a YAML file")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"--plan={plan}: {error}") from error
    methods: dict[str, list[str]] = {}
    for name, overrides in content.items() if isinstance(content, dict) else [("", None)]:
        if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
            raise ConfigError(
                f"--plan={plan}: must map names of methods to lists of overrides, found {overrides!r} for {name!s}"
            )
        methods[str(name)] = [text for text in overrides if isinstance(text, str)]
    return methods


def chosen_methods(methods: Mapping[str, list[str]], names: str | None) -> dict[str, list[str]]:
    """The methods that were asked for, in the order of the plan.

    Raises:
        ConfigError: If the plan has no such method.
    """
    wanted = list(methods) if names is None else [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in methods]:
        raise ConfigError(f"--methods={','.join(unknown)}: must be of {', '.join(methods)}")
    return {name: overrides for name, overrides in methods.items() if name in wanted}


def make_jobs(methods: Mapping[str, list[str]], overrides: Sequence[str]) -> list[Job]:
    """Every method with every combination of the values that are swept.

    Args:
        methods: Names and overrides.
        overrides: As attack.py takes them; `key=1,2` sweeps. They come after those of a method and win over them.

    Raises:
        ConfigError: If an override cannot be read, or chooses the attack, which the plan does.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(str(error)) from error
    if any(it.key_or_group == "attack" for it in parsed):
        raise ConfigError(
            "attack=: the plan chooses the attack; name some of its methods by --methods, or write your own"
        )
    swept = [it for it in parsed if it.is_sweep_override()]
    fixed = [str(it.input_line) for it in parsed if not it.is_sweep_override()]
    jobs = []
    for values in itertools.product(*map(_values, swept)):
        pairs = tuple((str(it.key_or_group), value) for it, value in zip(swept, values, strict=True))
        setting = tuple(pair for pair in pairs if pair[0] != SEED)
        lines = [f"{it.get_key_element()}={value}" for it, value in zip(swept, values, strict=True)]
        jobs += [Job(name, (*own, *fixed, *lines), setting) for name, own in methods.items()]
    return jobs


def _values(override: Override) -> list[str]:
    return [str(value) for value in override.sweep_string_iterator()]


def compose_job(job: Job, output: Path) -> RunConfig:
    """The checked configuration of a job.

    Raises:
        ConfigError: If there is a mistake in it.
    """
    try:
        return compose_config(job.overrides, output)
    except ConfigError as error:
        raise ConfigError(f"{job.method}: {error}") from error
