"""From a folder of NUS-WIDE's form to batches: time, CPU and memory of each step, measured from outside; a table.

python benchmarks/image_cache.py                                   3,000 pairs, drawn pictures
python benchmarks/image_cache.py --pairs 195834 --photos DIR       NUS-WIDE's size: needs 31 GB of disk
"""

import argparse
import logging
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra import compose, initialize_config_dir
from PIL import Image

from aach_lightning.config.schema import register_schemas  # nothing heavier up here: workers import this file too

LISTED = 269_648 / 195_834  # listed images for each one with a frequent label
LABELS, FREQUENT, TAGS = 81, 21, 1_000
PHOTOS = 300  # different ones; a file system allows a limited number of links to each
SHAPE = (500, 375)  # width and height of what most of NUS-WIDE's photos are
WARM = 20_000  # images that are read again and again: 3 GB at 224 px, more than NUS-WIDE's train part
BATCH = 128


class Step(NamedTuple):
    """What one process and its children took."""

    name: str
    seconds: float
    cpu: float  # seconds
    main: int  # bytes, peak
    worker: int  # bytes, peak of the largest
    together: int  # bytes, peak of the sum; libraries that processes share count once for each
    mapped: int  # bytes of the sum that are pages of files, which the system takes back when it needs them


def pictures(source: Path | None) -> Iterator[Image.Image]:
    """Canvases of SHAPE, tiled with photos or drawn scenes, so that they are as detailed as photos of that size."""
    if source is not None:
        tiles = [Image.open(file).convert("RGB") for file in sorted(source.rglob("*.jpg"))[: 6 * PHOTOS]]
    else:
        from aach_lightning.scenes.procedural import procedural_pairs

        with tempfile.TemporaryDirectory() as cache:
            drawn = procedural_pairs(name="tiles", pairs=6 * 20, image_size=192, seed=0, cache=cache)
            tiles = [Image.fromarray(np.asarray(image).transpose(1, 2, 0)) for image in drawn.images]
    for number in range(PHOTOS):
        canvas = Image.new("RGB", SHAPE)
        for place in range(6):
            # another tile follows another one each time round
            tile = tiles[(6 * number + place * (1 + 6 * number // len(tiles))) % len(tiles)]
            canvas.paste(tile, (place % 3 * 192, place // 3 * 192))
        yield canvas


def build(root: Path, pairs: int, photos: Path | None) -> None:
    """The lists as the makers distribute them, and a hard link to one of PHOTOS pictures for each labelled image."""
    generator = np.random.default_rng(0)
    listed = round(pairs * LISTED)
    for folder in ("ImageList", "ConceptsList", "Groundtruth/AllLabels", "NUS_WID_Tags", "Flickr", "photos"):
        (root / folder).mkdir(parents=True)
    names = [f"concept{row // 400:03}/{row % 400:04}_{2_000_000_000 + row}.jpg" for row in range(listed)]
    (root / "ImageList/Imagelist.txt").write_text("".join(name.replace("/", "\\") + "\r\n" for name in names))
    (root / "ConceptsList/Concepts81.txt").write_text("".join(f"label{column}\n" for column in range(LABELS)))
    labelled = np.zeros(listed, bool)
    labelled[generator.permutation(listed)[:pairs]] = True
    marks = np.zeros((listed, LABELS), np.uint8)
    marks[np.flatnonzero(labelled), generator.integers(0, FREQUENT, pairs)] = 1
    marks[:, :FREQUENT] |= (generator.random((listed, FREQUENT)) < 0.05) & labelled[:, None]
    marks[:, FREQUENT:] = generator.random((listed, LABELS - FREQUENT)) < 0.005
    for column in range(LABELS):
        text = (marks[:, column] + ord("0")).astype("u1").tobytes().decode()
        (root / f"Groundtruth/AllLabels/Labels_label{column}.txt").write_text("\n".join(text) + "\n")
    (root / "NUS_WID_Tags/TagList1k.txt").write_text("".join(f"tag{column}\n" for column in range(TAGS)))
    with (root / "NUS_WID_Tags/AllTags1k.txt").open("wb") as file:
        for _ in range(listed):
            line = np.full((TAGS, 2), ord("\t"), np.uint8)
            line[:, 0] = ord("0")
            line[generator.integers(0, TAGS, 7), 0] = ord("1")
            file.write(line.tobytes() + b"\r\n")
    sources = []
    for number, picture in enumerate(pictures(photos)):
        sources.append(root / f"photos/{number}.jpg")
        picture.save(sources[-1], quality=90)
    for place, row in enumerate(np.flatnonzero(labelled)):
        target = root / "Flickr" / names[row]
        target.parent.mkdir(exist_ok=True)
        os.link(sources[place % len(sources)], target)


def load(root: Path, cache: Path, size: int) -> tuple[Any, float]:
    """The pairs, through the configuration, as train.py gets them, and the seconds that `load_pairs` took."""
    from aach_lightning.data.load import load_pairs
    from aach_lightning.runtime.run import checked_config

    logging.disable(logging.WARNING)  # the counts, which these data cannot reach
    register_schemas()
    with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
        plain = ["data=nuswide_tc21", f"data.root={root}", f"data.image_size={size}", f"paths.cache={cache}"]
        config = checked_config(compose("train", [*plain, "paths.output=none"]))
    start = time.perf_counter()
    return load_pairs(config.data, config.paths), time.perf_counter() - start


def loading(connection: Connection, root: Path, cache: Path, size: int) -> None:
    pairs, seconds = load(root, cache, size)
    connection.send(f"{len(pairs):,} pairs; load_pairs took {seconds:.1f} s")


def passing(connection: Connection, root: Path, cache: Path, size: int) -> None:
    """Once over everything in order: what hashing a database reads."""
    from aach_lightning.data.dataset import PairDataset, pair_loader

    pairs, _ = load(root, cache, size)
    start, done = time.perf_counter(), 0
    for batch in pair_loader(PairDataset(pairs, np.arange(len(pairs))), BATCH):
        done += len(batch)
    connection.send(f"{done / (time.perf_counter() - start):,.0f} images/s")


def reading(connection: Connection, root: Path, cache: Path, size: int) -> None:
    """Shuffled batches out of the page cache, for each second of one core: other work does not count."""
    import torch

    from aach_lightning.data.dataset import EpochShuffle, PairDataset, pair_loader

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    pairs, _ = load(root, cache, size)
    rows = np.random.default_rng(0).permutation(min(WARM, len(pairs)))
    starts = range(0, len(rows), BATCH)
    dataset = PairDataset(pairs, rows)
    methods: dict[str, Callable[[int], Any]] = {
        "Pairs.batch": lambda _: [pairs.batch(rows[start : start + BATCH]).ids for start in starts],
        "pair_loader": lambda epoch: [
            batch.ids for batch in pair_loader(dataset, BATCH, EpochShuffle(len(rows), 0, epoch))
        ],
    }
    said = []
    for name, run in methods.items():
        run(0)
        rates = []
        for epoch in range(1, 6):
            start = time.process_time()
            run(epoch)
            rates.append(len(rows) / (time.process_time() - start))
        said.append(f"{name} {np.median(rates):,.0f}")
    connection.send(f"images for each CPU second: {', '.join(said)}")


def status(process: int) -> dict[str, int]:
    """Resident bytes, those of files among them, and CPU seconds / 100 of a process; empty once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return {}
    held = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "RssFile"))}
    return {**held, "parent": int(fields[1]), "ticks": int(fields[11]) + int(fields[12])} if len(held) == 2 else {}


def measured(name: str, process: BaseProcess, kill: Callable[[], bool] = lambda: False) -> Step:
    """Watch a process and its descendants until they end; SIGKILL it as soon as `kill` says so."""
    start = time.perf_counter()
    process.start()
    peaks, ticks = {"main": 0, "worker": 0, "together": 0, "mapped": 0}, {}
    while process.is_alive():
        found = {int(path.name): status(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
        family, size = {process.pid}, 0
        while size != len(family):
            size = len(family)
            family |= {child for child, values in found.items() if values.get("parent") in family}
        held = {member: found[member] for member in family if member is not None and found.get(member)}
        ticks.update({member: values["ticks"] for member, values in held.items()})
        workers = [values["VmRSS"] for member, values in held.items() if member != process.pid]
        peaks["main"] = max(peaks["main"], held.get(process.pid or 0, {}).get("VmRSS", 0))
        peaks["worker"] = max([peaks["worker"], *workers])
        together = sum(values["VmRSS"] for values in held.values())
        if together > peaks["together"]:
            peaks["together"], peaks["mapped"] = together, sum(values["RssFile"] for values in held.values())
        if kill():
            process.kill()
        time.sleep(0.1)
    process.join()
    return Step(name, time.perf_counter() - start, sum(ticks.values()) / os.sysconf("SC_CLK_TCK"), **peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3_000)
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--photos", type=Path, help="folder of JPEGs that the pictures are made of; else drawn scenes")
    parser.add_argument("--folder", type=Path, help="where to work; everything in it is deleted at the end")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    root, cache = folder / "nuswide", folder / "cache"
    spawn = multiprocessing.get_context("spawn")

    def journal_lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in cache.glob("*.journal"))

    half = arguments.pairs // 64 // 2
    steps: list[tuple[str, Callable[..., None], Callable[[], bool]]] = [
        ("convert, killed half-way", loading, lambda: journal_lines() > half),
        ("convert, goes on", loading, lambda: False),
        ("start again", loading, lambda: False),
        ("read all in order", passing, lambda: False),
        (f"read {min(WARM, arguments.pairs):,} again and again", reading, lambda: False),
    ]
    try:
        start = time.perf_counter()
        build(root, arguments.pairs, arguments.photos)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}; "
            f"{arguments.pairs:,} pairs of {SHAPE[0]} x {SHAPE[1]} px at {arguments.size} px; folder built in "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
        print(f"{'':32}{'s':>8}{'CPU s':>8}{'MB: main':>10}{'worker':>8}{'all':>8}{'mapped':>8}", flush=True)
        for name, target, kill in steps:
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=target, args=(sender, root, cache, arguments.size))
            step = measured(name, process, kill)
            sender.close()
            said = receiver.recv() if process.exitcode == 0 else f"ended with {process.exitcode}"
            sizes = [step.main, step.worker, step.together, step.mapped]
            print(
                f"{name:32}{step.seconds:8.1f}{step.cpu:8.1f}{sizes[0] / 1e6:10.0f}"
                + "".join(f"{size / 1e6:8.0f}" for size in sizes[1:])
                + f"  {said}",
                flush=True,
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
