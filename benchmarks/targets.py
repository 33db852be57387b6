"""Clean MAP of every trained system under attack, at several code lengths; a table.

python benchmarks/targets.py experiment=demo
python benchmarks/targets.py --targets dcmh,ssah --bits 32 --to FOLDER experiment=flickr8k24 data.root=DIR

OVERRIDES are those of train.py. What the frozen backbone makes of the images is computed once for all targets; then
each is trained in a process of its own, so that its peak memory is its own. What is finished lies under FOLDER/rows and
is not measured again. All rows of the query part search the database. dchmt without CLIP is its loss on this backbone.
"""

import argparse
import json
import multiprocessing
import platform
import time
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from aach_lightning.runtime.files import write_json

SUPERVISED = ("dcmh", "ssah", "cmhh", "acmr", "dadh", "cpah", "dchmt")
UNSUPERVISED = ("djsrh", "jdsh", "dgcpn")


def remember_features() -> None:
    """Let what a frozen backbone gives be computed once: all targets have the same backbone."""
    from aach_lightning.targets import training

    encode, known = training.encode_images, {}

    def remembered(encoder: Any, pairs: Any, rows: Any, description: str, device: Any) -> torch.Tensor:
        key = (pairs.fingerprint, rows.tobytes(), next(iter(encoder.backbone.state_dict().values())).shape)
        if key not in known:
            known[key] = encode(encoder, pairs, rows, description, device)
        return known[key]

    training.encode_images = remembered


def measure(target: str, bits: int, overrides: list[str], folder: Path) -> dict[str, Any]:
    """Train one target, or find it, and measure it on the query part."""
    from aach_lightning.data.experiment import Experiment
    from aach_lightning.retrieval import count_distinct_codes, mean_average_precision
    from aach_lightning.retrieval.metrics import chance_level
    from aach_lightning.runtime.compose import compose_config
    from aach_lightning.runtime.stopwatch import peak_memory_mib
    from aach_lightning.targets.deployment import ensure_deployed
    from aach_lightning.targets.index import CodeIndex, read_report
    from aach_lightning.targets.method import rarer_sign

    config = compose_config([f"target={target}", f"target.code_length={bits}", *overrides], folder)
    experiment = Experiment.load(config, target_only=True)
    pairs, split = experiment.pairs, experiment.split
    start, before = time.perf_counter(), peak_memory_mib()
    artifact = ensure_deployed(experiment)
    seconds = time.perf_counter() - start
    index, labels = CodeIndex.load(artifact.path), torch.from_numpy(pairs.labels)
    query, database = torch.from_numpy(split.query), torch.from_numpy(split.database)

    def both(left: torch.Tensor, right: torch.Tensor) -> float:
        return mean_average_precision(left[query], labels[query], right[database], labels[database])

    sides = (index.image_codes, index.text_codes)
    return {
        "target": target,
        "bits": bits,
        "i2t": both(*sides),
        "t2i": both(*sides[::-1]),
        "chance": chance_level(labels[query], labels[database]),
        "distinct": [count_distinct_codes(side[database]) for side in sides],
        "balance": [rarer_sign(side[database]) for side in sides],
        "queries": len(query),
        "database": len(database),
        "seconds": seconds if artifact.built else None,
        "peak_mib": peak_memory_mib(),
        "data_mib": before,
        "validation": read_report(artifact)["validation_map"],
    }


def warm_up(target: str, bits: int, overrides: list[str], folder: Path) -> None:
    """Compute the features of a target without training it."""
    import numpy as np

    from aach_lightning.data.load import load_pairs
    from aach_lightning.runtime.compose import compose_config
    from aach_lightning.targets import training

    config = compose_config([f"target={target}", f"target.code_length={bits}", *overrides], folder)
    pairs = load_pairs(config.data, config.paths)
    network = training.build_target(config.target, pairs)
    training.encode_images(network.image, pairs, np.arange(len(pairs)), "images", torch.device("cpu"))


def show(rows: list[dict[str, Any]], lengths: list[int]) -> str:
    """The table as Markdown: one row a target, MAP of image and of text queries at each length."""
    found = {(row["target"], row["bits"]): row for row in rows}
    any_row = rows[0]
    lines = [
        f"{any_row['queries']:,} queries, {any_row['database']:,} searched, chance {any_row['chance']:.3f}; "
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "",
        "| target | labels | "
        + " | ".join(f"{bits} bits, I→T | T→I" for bits in lengths)
        + " | distinct codes | rarer sign | seconds | MiB |",
        "|---|---|" + "---:|---:|" * len(lengths) + "---:|---:|---:|---:|",
    ]
    for target in dict.fromkeys(row["target"] for row in rows):
        own = [found.get((target, bits)) for bits in lengths]
        cells = [f"{row['i2t']:.3f} | {row['t2i']:.3f}" if row else "  |  " for row in own]
        last = next(row for row in reversed(own) if row)
        seconds = [row["seconds"] for row in own if row and row["seconds"] is not None]
        lines.append(
            f"| {target} | {'yes' if target in SUPERVISED else 'no'} | {' | '.join(cells)} "
            f"| {min(last['distinct']):,} | {min(last['balance']):.2f} "
            f"| {max(seconds, default=0.0):.0f} | {max(row['peak_mib'] for row in own if row):,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join((*SUPERVISED, *UNSUPERVISED)))
    parser.add_argument("--bits", default="16,32,64")
    parser.add_argument("--to", type=Path, default=Path("outputs/targets"))
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args()
    lengths = [int(bits) for bits in options.bits.split(",")]
    wanted = [(target, bits) for target in options.targets.split(",") for bits in lengths]
    remember_features()
    forked = multiprocessing.get_context("fork")
    rows: list[dict[str, Any]] = []
    warm = False
    for target, bits in track(wanted, "targets"):
        file = options.to / "rows" / f"{target}-{bits}.json"
        if not file.exists():
            if not warm:  # in this process, so that those forked from it find the features
                warm_up(target, bits, options.overrides, options.to)
                warm = True
            process = forked.Process(
                target=lambda: write_json(file, measure(target, bits, options.overrides, options.to))  # noqa: B023
            )
            process.start()
            process.join()
        if file.exists():
            rows.append(json.loads(file.read_text(encoding="utf-8")))
        else:
            print(f"failed: {target} at {bits} bits")
    text = show(rows, lengths)
    (options.to / "table.md").write_text(text + "\n")
    print(text)
    print(f"table: {options.to / 'table.md'}")


if __name__ == "__main__":
    main()
