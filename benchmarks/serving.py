"""Load on a served target: pairs a second and latency over the loopback interface; a table.

python benchmarks/serving.py                         a small CNN at 64 px, 32 bits, 1,000 words, 10 s a row
python benchmarks/serving.py --size 224 --seconds 30

The service runs in one process, all clients in another; both use the same cores. Every image is a new one,
so that nothing is answered from memory.
"""

import argparse
import multiprocessing
import os
import platform
import threading
import time
from multiprocessing.connection import Connection

import numpy as np
import torch

KEY = "benchmark-key-on-loopback"
WORDS, BITS = 1_000, 32
ROWS = ((1, 1), (4, 1), (1, 16), (4, 16), (8, 16), (4, 64))  # clients, pairs of a request


def service(size: int, ready: Connection) -> None:
    from aach_lightning.config.serving import LimitsConfig, ServingConfig
    from aach_lightning.config.target import EncoderConfig
    from aach_lightning.networks.build import build_network
    from aach_lightning.serving.accounts import Accounts
    from aach_lightning.serving.app import make_app
    from aach_lightning.serving.serve import bind, make_server
    from aach_lightning.serving.system import About, System

    torch.set_num_threads(1)
    image = EncoderConfig(backbone={"_target_": "aach_lightning.networks.small_cnn.SmallCNN"})
    text = EncoderConfig(backbone={"_target_": "aach_lightning.networks.text_mlp.TextMLP", "width": 1024})
    network = build_network(image, text, BITS, size, WORDS, 0).eval()
    system = System(network, About("untrained", BITS, size, WORDS))
    limits = LimitsConfig(None, 1e9, 10**9, 256, 64.0, 60.0, 1000, 256)
    app = make_app(system, Accounts([KEY], limits), limits)
    server = make_server(app, ServingConfig("127.0.0.1", 0, limits))
    listener = bind(server)
    ready.send(listener.getsockname()[1])
    server.run(sockets=[listener])


def load(url: str, size: int, clients: int, items: int, seconds: float) -> tuple[float, list[float]]:
    """Pairs a second, and seconds of every request."""
    from aach_lightning.config.method import HttpConfig
    from aach_lightning.targets.remote import HttpTarget

    times: list[list[float]] = [[] for _ in range(clients)]
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        asked = HttpConfig(url=url, timeout=60, attempts=1, backoff=1, connections=1, items=items)
        target = HttpTarget(asked, BITS, KEY)
        generator = torch.Generator().manual_seed(hash((clients, items, number)) % 2**31)
        # smooth pictures with noise: as large as PNG files of photos
        smooth = torch.rand(items, 3, 8, 8, generator=generator)
        smooth = torch.nn.functional.interpolate(smooth, size=(size, size), mode="bilinear")
        while time.monotonic() < end:
            noise = torch.randint(-6, 7, smooth.shape, generator=generator) / 255
            images, texts = (smooth + noise).clamp(0, 1), torch.rand(items, WORDS, generator=generator)
            for ask, inputs in ((target.hash_images, images), (target.hash_texts, texts)):
                start = time.monotonic()
                ask(inputs)
                times[number].append(time.monotonic() - start)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - start
    flat = [one for part in times for one in part]
    return len(flat) / 2 * items / taken, flat


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, default=64, help="height and width of images")
    options.add_argument("--seconds", type=float, default=10.0, help="of each row")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=service, args=(chosen.size, there), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{here.recv()}"
    load(url, chosen.size, 2, 4, 1.0)
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {chosen.size} px", end="; ")
    print(f"load before: {os.getloadavg()[0]:.1f}\n")
    print("| clients | pairs a request | pairs/s | p50 ms | p99 ms | requests |\n|---|---|---|---|---|---|")
    for clients, items in ROWS:
        rate, times = load(url, chosen.size, clients, items, chosen.seconds)
        half, most = np.percentile(times, [50, 99]) * 1000
        print(f"| {clients} | {items} | {rate:,.0f} | {half:.1f} | {most:.1f} | {len(times):,} |", flush=True)
    print(f"\nload after: {os.getloadavg()[0]:.1f}")
    process.terminate()
    process.join()


if __name__ == "__main__":
    main()
