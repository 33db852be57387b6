"""The page of all keys: what `docs/reference/configuration.md` says is what the dataclasses declare."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin

from aach_lightning.config.option import SEED, Limits, Option, options
from aach_lightning.config.options import CONF
from aach_lightning.config.schema import CHOICES, names
from aach_lightning.config.serving import ServeConfig

NETWORKS = ("image_net", "text_net")
_GROUPS = {  # key to group, where that has another name
    "split": "protocol",
    **{f"{owner}.{net}": net for owner in ("target", "surrogate") for net in NETWORKS},
}
_WORDS = {int: "whole number", float: "number", str: "text", list: "list of whole numbers", dict: "names of your own"}
_INTRODUCTION = """# All keys

Written by `python -m aach_lightning.config`; what is said here is what is checked. A key is set by `key=value`, a
choice by `group=choice`, see [Configuration](../configuration.md). Where several choices have a key, the default of the
one that is chosen counts; files of `conf/` set some of these keys to other values. `???`: somebody must set it.
"""


def page() -> str:
    """The page, in Markdown."""
    blocks = [one for one in options(ServeConfig) if _block(one)]
    alone = [one for one in options(ServeConfig) if not _block(one)]
    lines = [_INTRODUCTION, *_table("", alone), ""]
    for one in blocks:
        lines += _section(one.name, one)
    return "\n".join(lines).rstrip() + "\n"


def _section(key: str, option: Option) -> Iterator[str]:
    """A heading, the choices of a group, its keys, and the sections of blocks within it."""
    if get_origin(option.type) is dict:
        key = f"{key}.NAME"
    group, block = _GROUPS.get(key, key.replace(".", "/")), _block(option)
    choice = f"{group}@{key}" if group in NETWORKS else group
    yield from (f"{'##' if '.' not in key else '###'} {key}", "", f"{option.help[:1].upper()}{option.help[1:]}.", "")
    if len(chosen := names(group)) > 1:
        yield from (f"| `{choice}` | |", "|---|---|", *(f"| `{name}` | {_about(group, name)} |" for name in chosen), "")
    own = {name: node for name, node in CHOICES.get(group, {}).items() if is_dataclass(node)}
    own = {name: node for name, node in own.items() if _kind(node) is not block}
    for name, node in own.items():
        if rows := [one for one in options(_kind(node)) if one.name != "_target_"]:
            yield from (f"`{choice}={name}`:", "", *_table(f"{key}.", rows, node), "")
    if not own:
        preset = option.default() if callable(option.default) else None
        rows = [one for one in options(block) if not _block(one)]
        yield from (*_table(f"{key}.", rows, preset if isinstance(preset, block) else None), "")
    for one in options(block):
        if _block(one):
            yield from _section(f"{key}.{one.name}", one)


def _table(prefix: str, rows: list[Option], chosen: Any = None) -> Iterator[str]:
    yield from ("| key | default | values | meaning |", "|---|---|---|---|")
    for one in rows:
        default = one.default if chosen is None or isinstance(chosen, type) else getattr(chosen, one.name)
        cells = (f"`{prefix}{one.name}`", f"`{_shown(default)}`", _values(one), one.help.replace("|", "\\|"))
        yield f"| {' | '.join(cells)} |"


def _kind(node: Any) -> Any:
    return node if isinstance(node, type) else type(node)


def _block(option: Option) -> Any:
    """The dataclass that a key holds; None where it holds a value."""
    return next((kind for kind in (option.type, *get_args(option.type)) if is_dataclass(kind)), None)


def _about(group: str, name: str) -> str:
    """The first sentence at the head of its file, the first line of its class, or its own values of a class."""
    file, node = CONF / group / f"{name}.yaml", CHOICES.get(group, {}).get(name)
    if file.exists():
        lines = file.read_text(encoding="utf-8").splitlines()
        said = [line.removeprefix("# ") for line in lines if line[:1] == "#" and "@package" not in line]
        text = " ".join(said).partition(". ")[0] if len(said) > 1 else "".join(said)
    elif isinstance(node, dict):
        text = _about("target/method", name)
    elif isinstance(node, type):
        text = (node.__doc__ or "").partition("\n")[0]
    else:
        own = {one.name: getattr(node, one.name) for one in options(type(node))}
        plain = {one.name: one.default for one in options(type(node))}
        text = (
            ", ".join(f"{key}={_shown(value)}" for key, value in own.items() if value != plain[key]) or "the defaults"
        )
    return text.rstrip(".").replace("|", "\\|")


def _shown(value: Any) -> str:
    if callable(value):
        value = value()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value.value if isinstance(value, Enum) else value)


def _values(option: Option) -> str:
    kinds = [kind for kind in get_args(option.type) or (option.type,) if kind is not type(None)]
    null = ", or `null`" if type(None) in get_args(option.type) else ""
    kind = get_origin(option.type) if get_origin(option.type) in (list, dict) else kinds[0]
    if option.allowed is SEED:
        return _WORDS[kind]
    if isinstance(option.allowed, Limits):
        words = str(option.allowed).removeprefix("must ").removeprefix("be ").removeprefix("lie in ")
        return f"{_WORDS[kind]}: {words}{null}"
    if isinstance(option.allowed, frozenset):
        return ", ".join(f"`{one}`" for one in sorted(option.allowed)) + null
    if kind is bool:
        return f"`true`, `false`{null}"
    if issubclass(kind, Enum):
        return ", ".join(f"`{one.value}`" for one in kind) + null
    return _WORDS[kind] + null
