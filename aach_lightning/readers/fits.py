"""Which protocols fit some data, and how large their parts are."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf

from aach_lightning.config.options import CONF
from aach_lightning.config.split import SizesConfig, SplitConfig, chosen_sizes
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.protocol import split_pairs
from aach_lightning.data.splits import Split
from aach_lightning.errors import ConfigError, DataError

FOLDER = CONF / "protocol"


@dataclass(frozen=True)
class Fit:
    """One protocol tried on some data.

    Attributes:
        name: Of the protocol.
        split: The parts; None where the protocol does not fit.
        overrides: What selects it.
        remark: Why it does not fit, or what is different from what was published; may be empty.
    """

    name: str
    split: Split | None
    overrides: str
    remark: str


def read_protocols(folder: Path = FOLDER) -> tuple[SplitConfig, ...]:
    """Read every protocol of a folder, by name; the data set is left open.

    Raises:
        ConfigError: If a file does not describe a protocol.
    """
    found = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            content = OmegaConf.merge(OmegaConf.structured(SplitConfig), OmegaConf.load(file), {"dataset": None})
            found.append(cast(SplitConfig, OmegaConf.to_object(content)))
        except Exception as error:  # of OmegaConf, or of the YAML parser behind it
            raise ConfigError(f"{file} does not describe a protocol: {error}") from error
    return tuple(found)


def try_protocols(pairs: Pairs, protocols: tuple[SplitConfig, ...]) -> tuple[Fit, ...]:
    """Split the data by every protocol.

    A protocol's data set is that of the same name, or else the one with as many pairs.
    """
    return tuple(_try(pairs, protocol) for protocol in protocols)


def _try(pairs: Pairs, protocol: SplitConfig) -> Fit:
    named = protocol.sizes.get(pairs.name)
    dataset = pairs.name if named else _of_this_size(protocol, len(pairs))
    known = ", ".join(_shown(name, sizes) for name, sizes in protocol.sizes.items())
    overrides = f"protocol={protocol.name}" + ("" if named or not dataset else f" split.dataset={dataset}")
    chosen = replace(protocol, dataset=dataset)
    if protocol.sizes and chosen_sizes(chosen) is None:
        return Fit(protocol.name, None, overrides, f"says nothing about {pairs.name}; it knows {known}")
    try:
        split = split_pairs(chosen, pairs)
    except (ConfigError, DataError) as error:
        return Fit(protocol.name, None, overrides, str(error))
    remark = ""
    if named and named.pairs not in (None, len(pairs)):
        remark = f"is for {named.pairs:,} pairs, these are {len(pairs):,}"
    elif dataset and not named:
        remark = f"taken for {dataset} by the number of pairs"
    return Fit(protocol.name, split, overrides, remark)


def _of_this_size(protocol: SplitConfig, pairs: int) -> str | None:
    return next((name for name, sizes in protocol.sizes.items() if sizes.pairs == pairs), None)


def _shown(name: str, sizes: SizesConfig) -> str:
    return name if sizes.pairs is None else f"{name} ({sizes.pairs:,} pairs)"
