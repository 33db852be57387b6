"""The command behind python -m aach_lightning.targets: what a target is worth before it is attacked."""

import sys

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aach_lightning.config.schema import RunConfig
from aach_lightning.runtime import ranks
from aach_lightning.runtime.run import run, start
from aach_lightning.zoo.check import TargetCheck, check_target

USAGE = "usage: python -m aach_lightning.targets check OVERRIDES, the same as for attack.py"
_DIRECTIONS = {"i2t": "image→text", "t2i": "text→image"}


def check(config: RunConfig) -> None:
    """Find or build the target, hash the collection, and show what there is to be seen."""
    from aach_lightning.data.experiment import Experiment
    from aach_lightning.targets.deployment import ensure_deployed

    experiment = Experiment.load(config, target_only=True)
    found = check_target(experiment, ensure_deployed(experiment))
    ranks.on_first(lambda: show(found, experiment.pairs.name, Console()))


def show(found: TargetCheck, data: str, console: Console) -> None:
    """Print the findings."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    form = found.form
    counted = "not known" if found.parameters is None else f"{found.parameters:,}"
    rows = [] if form is None else [("what", form.title), ("images", form.facts()["images"])]
    rows += [("parameters", counted), ("code length", f"{found.code_length} bits")]
    for side, codes in found.distinct_codes.items():
        rows.append((f"{side} codes", f"{codes:,} distinct of {found.database:,}"))
        rows.append((f"{side} bits", f"the rarer sign in {found.bit_balance[side]:.1%}, at best in 50.0%"))
    for name, value in rows:
        facts.add_row(name, escape(value))
    console.print(facts)
    published = dict(form.published or {}) if form else {}
    table = Table("MAP", escape(f"{data}, here"), *map(escape, published), "chance", box=None, padding=(0, 2, 0, 0))
    for place, (direction, label) in enumerate(_DIRECTIONS.items()):
        others = [f"{values[place]:.3f}" for values in published.values()]
        table.add_row(label, f"{found.map[direction]:.3f}", *others, f"{found.chance:.3f}")
    console.print(table)
    console.print(f"{found.queries:,} queries, {found.database:,} searched, over the whole ranking")
    if form and published:
        remark = f"; {form.remark}" if form.remark else ""
        console.print(escape(f"published with 32 bits, each under a protocol of its own{remark}"), soft_wrap=True)
    _show_conventions(found, console)


def _show_conventions(found: TargetCheck, console: Console) -> None:
    if not found.tried:
        return
    table = Table("images, on a sample", "mean MAP", box=None, padding=(0, 2, 0, 0))
    for name, value in found.tried.items():
        table.add_row(escape(name or "as configured"), f"{value:.3f}")
    console.print(table)
    if found.better is not None:
        console.print(
            escape(
                f"warning: with {found.better} the target retrieves much better than as configured: are its images "
                "converted as when it was trained?"
            ),
            style="bold yellow",
            soft_wrap=True,
        )


def main() -> None:
    """Start the command."""
    helped = sys.argv[1:2] in (["-h"], ["--help"])
    if not helped and sys.argv[1:2] != ["check"]:
        Console(stderr=True).print(USAGE, markup=False, soft_wrap=True)
        sys.exit(2)
    if helped:
        Console().print(USAGE, markup=False, soft_wrap=True)
        return
    del sys.argv[1]
    start("attack", _check)


def _check(config: DictConfig) -> None:
    run(config, check)
