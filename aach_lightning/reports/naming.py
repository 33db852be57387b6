"""What sets runs apart, in words: replicates, blocks of a summary, systems under attack, attackers."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from aach_lightning.errors import ConfigError

AXES = ("budget.pairs", "attack.epsilon", "attack.text_epsilon")
# Keys that change no number of the rows that are compared: what is shown, logged, or measured beside them.
_IDLE = (
    "stage",
    "logger.",
    "evaluation.picture_rows",
    "evaluation.save_adversarial",
    "evaluation.white_box",
    "evaluation.trace",
    "evaluation.held_out",
    "attack.modality",
)
_ATTACKER = ("attack.", "budget.", "mining.", "surrogate.")  # keys that describe the attacker, not what is attacked
_SAID = ("attack.name", "target.name", "target.code_length", "target.defence", "target.adversarial", "data.name")
_FEW = 2
_UNSET = " not set"


def replicate_keys(text: str, configs: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The keys of `--over`.

    Raises:
        ConfigError: If no run has such a key.
    """
    keys = tuple(dict.fromkeys(key.strip() for key in text.split(",") if key.strip()))
    known = {key for config in configs.values() for key in config}
    unknown = [key for key in keys if key not in known]
    if unknown or not keys:
        seeds = ", ".join(sorted(key for key in known if key.split(".")[-1] == "seed"))
        raise ConfigError(f"--over={text}: must be keys of the configuration, such as {seeds}")
    if axes := [key for key in keys if key in AXES]:
        raise ConfigError(f"--over={text}: {', '.join(axes)} is an axis of the table and cannot be averaged over")
    return keys


def block_keys(frame: pd.DataFrame, over: Sequence[str] = ("seed",)) -> list[str]:
    """Columns that tell blocks apart: few of those that vary, but enough.

    Names and classes come first, as they say most: where the targets `dcmh` and `ssah` differ in twenty keys, the name
    is enough. The hash of the data counts where runs with one configuration saw different data.
    """
    configured = [name for name in frame.columns if name.startswith("config.")]
    names = [name for name in configured if _key(name) not in (*AXES, *over) and not _key(name).startswith(_IDLE)]
    names.sort(key=lambda name: not name.endswith((".name", "._target_")))  # stable
    runs = frame.drop_duplicates("run")
    chosen: list[str] = []
    groups = 1
    for name in names:
        more = runs.groupby([*chosen, name], dropna=False).ngroups
        if more > groups:
            chosen, groups = [*chosen, name], more
    if len(runs) > (runs.groupby(configured, dropna=False).ngroups if configured else 1):
        chosen.append("data_hash")  # nothing else is left that tells these runs apart
    return [name for name in frame.columns if name in chosen]


def named(column: str, values: "pd.Series[Any]") -> list[str]:
    """A column as `key=value`; of classes the last part of their path, where that is enough to tell them apart."""
    key = _key(column).removesuffix("._target_")
    texts = [None if pd.isna(value) else str(value).removesuffix(".0") for value in values]
    if key != _key(column):
        short = {text: text.rpartition(".")[2] for text in texts if text is not None}
        if len(set(short.values())) == len(short):
            texts = [text and short[text] for text in texts]
    return [f"{key}{_UNSET}" if text is None else f"{key}={text}" for text in texts]


def system(flat: Mapping[str, Any]) -> str:
    """The system under attack in words, from a flat configuration.

    Example:
        >>> system({"target.name": "dcmh", "target.code_length": 32, "target.adversarial.method": "cmla"})
        'DCMH 32 bits, hardened by CMLA'
    """
    return ", ".join([f"{str(flat.get('target.name')).upper()} {flat.get('target.code_length')} bits", *defences(flat)])


def defences(flat: Mapping[str, Any]) -> list[str]:
    """What was done to the target beyond training it, in words, from a flat configuration."""
    said = []
    if (method := flat.get("target.adversarial.method", "none")) != "none":
        said.append(f"hardened by {str(method).upper()}")
    start = "target.defence."
    values = {key.removeprefix(start): value for key, value in flat.items() if key.startswith(start)}
    kind = str(values.pop("_target_", "")).rpartition(".")[2]
    if kind not in ("", "Identity"):
        said.append(f"behind {kind}({', '.join(f'{key}={value}' for key, value in values.items())})")
    return said


def name_runs(
    frame: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]], over: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """Place (data set and system) and attacker of each run, by the run's hash.

    An attacker has the name of its attack, with what sets it apart: every key of up to `_FEW` that vary beside M,
    epsilon and `over`, or of many those that have not their most common value.

    Args:
        frame: Of `frame.to_frame`.
        configs: Flat configuration of each run.
        over: Keys whose combinations are the replicates.
    """
    if frame.empty:
        return {}
    runs = frame.drop_duplicates("run").reset_index(drop=True)
    columns = [name for name in block_keys(frame, over) if not _key(name).startswith(_SAID)]
    texts = {name: named(name, runs[name]) for name in columns}
    further = [name for name in columns if not _key(name).startswith(_ATTACKER)]
    own = [name for name in columns if name not in further]
    usual = {name: max(texts[name], key=texts[name].count) if len(own) > _FEW else None for name in own}
    names = {}
    for number, (key, data) in enumerate(zip(runs["run"], runs["data"], strict=True)):
        flat = configs[key]
        parts = [texts[name][number] for name in own if texts[name][number] != usual[name]]
        parts = [part for part in parts if not part.endswith(_UNSET)] or parts
        label = ", ".join([str(flat.get("attack.name")).upper(), *parts])
        names[key] = (", ".join([f"{data}: {system(flat)}", *(texts[name][number] for name in further)]), label)
    return names


def _key(column: str) -> str:
    return column.removeprefix("config.")
