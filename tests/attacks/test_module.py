from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aach_lightning.attacks.items import AttackBatch, Bank, ItemCodes
from aach_lightning.attacks.module import AttackModule
from aach_lightning.attacks.objectives.triplet import ExchangedTriplet, exchanged_triplet, nearest_and_farthest
from aach_lightning.attacks.source import Task
from aach_lightning.data.modality import Modality
from aach_lightning.data.pairs import Pairs
from aach_lightning.networks.hashing import Encoder, HashHead, HashingNetwork, binary_codes
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_mlp import TextMLP
from aach_lightning.perturbations.descent import Descent
from aach_lightning.perturbations.diversity import InputDiversity
from aach_lightning.perturbations.gradient import GradientRule
from aach_lightning.perturbations.space import Space
from aach_lightning.perturbations.step import AdamStep, SignMomentum

BITS, QUERIED = 12, list(range(30, 60))
MODALITIES: list[Modality] = [Modality.image, Modality.text]


@pytest.fixture
def source() -> HashingNetwork:
    """With batch norm in the text half, whose statistics would drift in training mode."""
    torch.manual_seed(0)
    image = Encoder(SmallCNN(image_size=32, width=32), HashHead(32, BITS, dropout=0.3))
    head = nn.Sequential(nn.BatchNorm1d(32), HashHead(32, BITS, dropout=0.3))
    return HashingNetwork(image, Encoder(TextMLP(16, width=32), head), BITS).eval()


def build(source: HashingNetwork, pairs: Pairs, modality: Modality, **changed: Any) -> AttackModule:
    queried = pairs.batch(QUERIED)
    with torch.no_grad():
        relaxed = modality.other.hashed_by(source)(modality.other.of(queried))
    epsilon = 8 / 255 if modality == "image" else 0.3
    settings: dict[str, Any] = {
        "space": Space(epsilon, "linf", 0.0, 1.0),
        "new_step": lambda: SignMomentum(0.1 * epsilon, 1.0),
        "gradients": GradientRule(),
        "steps": 10,
        "random_start": False,
        "seed": 0,
    }
    objective = changed.pop("objective", None) or triplet()
    task = Task(source, Bank(relaxed, binary_codes(relaxed)), objective, modality)
    return AttackModule(task, Descent(**(settings | changed)))


def triplet(positives: int = 3, negatives: int = 3, quantisation_weight: float = 0.0) -> ExchangedTriplet:
    shares = positives / len(QUERIED), negatives / len(QUERIED)
    return ExchangedTriplet("hinge", 1.0, *shares, quantisation_weight)


def diverse(probability: float, smallest: float, seed: int = 0) -> GradientRule:
    return GradientRule(InputDiversity(probability, smallest, seed))


def attacked(module: AttackModule, pairs: Pairs, rows: list[int], anchors: Tensor | None = None) -> Tensor:
    delta: Tensor = module.predict_step(AttackBatch(pairs.batch(rows), ItemCodes(anchors)), 0)
    assert not delta.requires_grad
    return delta


def clean_inputs(pairs: Pairs, rows: list[int], modality: Modality) -> Tensor:
    batch = pairs.batch(rows)
    return batch.images if modality == Modality.image else batch.texts


def objective(module: AttackModule, inputs: Tensor, clean: Tensor) -> Tensor:
    with torch.no_grad():
        near, far = nearest_and_farthest(binary_codes(module.task.hash(clean)), module.task.bank.ranking, 3, 3)
        bank = module.task.bank.other
        return exchanged_triplet(module.task.hash(inputs), bank[near], bank[far], float(BITS), 0.0)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("rule", ["sign", "adam"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_bounds_hold_and_the_objective_falls(
    source: HashingNetwork, toy_pairs: Pairs, modality: Modality, random_start: bool, rule: str, norm: Any
) -> None:
    rows = [0, 1, 2, 3, 4]
    epsilon = {"linf": {Modality.image: 8 / 255, Modality.text: 0.3}, "l2": {Modality.image: 1.0, Modality.text: 0.5}}[
        norm
    ][modality]
    space = Space(epsilon, norm, 0.0, 1.0)
    size = 0.1 * epsilon if norm == "linf" else 0.02 * epsilon
    step = (lambda: SignMomentum(size, 1.0)) if rule == "sign" else (lambda: AdamStep(size))
    module = build(source, toy_pairs, modality, space=space, new_step=step, random_start=random_start)
    clean = clean_inputs(toy_pairs, rows, modality)
    delta = attacked(module, toy_pairs, rows)
    assert delta.shape == clean.shape
    sizes = delta.abs().flatten(1).amax(dim=1) if norm == "linf" else delta.flatten(1).norm(dim=1)
    assert float(sizes.max()) <= epsilon + 1e-6
    assert float((clean + delta).min()) >= 0
    assert float((clean + delta).max()) <= 1
    before, after = objective(module, clean, clean), objective(module, clean + delta, clean)
    assert bool((after < before).all())
    assert bool((sizes > 0.1 * epsilon).all())


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_source_stays_as_it_is(source: HashingNetwork, toy_pairs: Pairs, modality: Modality) -> None:
    before = {name: value.clone() for name, value in source.state_dict().items()}
    module = build(source, toy_pairs, modality).train()
    assert not any(part.training for part in source.modules())
    attacked(module, toy_pairs, [0, 1, 2])
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in source.parameters())


@pytest.mark.parametrize(
    ("modality", "changed"),
    [
        (Modality.image, {"gradients": diverse(0.8, 0.6, seed=3), "random_start": True}),
        (Modality.image, {"new_step": lambda: AdamStep(0.003)}),
        (Modality.text, {"random_start": True}),
        (Modality.text, {"new_step": lambda: AdamStep(0.03), "objective": triplet(quantisation_weight=0.5)}),
    ],
)
def test_an_item_does_not_see_its_batch_nor_the_global_state(
    source: HashingNetwork, toy_pairs: Pairs, modality: Modality, changed: dict[str, Any]
) -> None:
    module = build(source, toy_pairs, modality, **changed)
    torch.manual_seed(1)
    together = attacked(module, toy_pairs, [4, 0, 7, 12])
    torch.manual_seed(2)
    assert torch.equal(attacked(module, toy_pairs, [4, 0, 7, 12]), together)
    for place, row in ((2, 7), (0, 4)):
        alone = attacked(module, toy_pairs, [row])[0]
        # where a gradient is almost 0 its sign may hang on the order of a sum: nearly all entries, not all
        assert float(((alone - together[place]).abs() < 1e-5).float().mean()) > 0.98
    assert float((together[0] - together[1]).abs().max()) > 1e-3


def test_it_is_plain_sign_gradient_descent_when_written_out(source: HashingNetwork, toy_pairs: Pairs) -> None:
    rows, size, epsilon = [0, 5], 0.05, 0.12
    module = build(
        source,
        toy_pairs,
        Modality.text,
        space=Space(epsilon, "linf", 0.0, 1.0),
        new_step=lambda: SignMomentum(size, 0.0),
        steps=4,
        objective=triplet(2, 4),
    )
    clean, bank = toy_pairs.batch(rows).texts, module.task.bank.other
    expected = torch.zeros_like(clean)
    for item, text in enumerate(clean):
        own = binary_codes(source.hash_texts(text[None]))[0]
        order = sorted(range(len(bank)), key=lambda row: int((module.task.bank.ranking[row] != own).sum()))
        for _ in range(4):
            inputs = (text + expected[item]).clone().requires_grad_()
            hashed = source.hash_texts(inputs[None])[0]
            distances = (BITS - bank @ hashed) / 2
            hinges = [
                torch.clamp(BITS + distances[negative] - distances[positive], min=0)
                for positive in order[:2]
                for negative in order[-4:]
            ]
            (gradient,) = torch.autograd.grad(torch.stack(hinges).mean(), inputs)
            moved = (expected[item] - size * gradient.sign()).clamp(-epsilon, epsilon)
            expected[item] = (text + moved).clamp(0, 1) - text
    torch.testing.assert_close(attacked(module, toy_pairs, rows), expected, atol=1e-6, rtol=0)


def test_no_steps_leave_the_start(source: HashingNetwork, toy_pairs: Pairs) -> None:
    assert not bool(attacked(build(source, toy_pairs, Modality.image, steps=0), toy_pairs, [0, 1]).any())
    start = attacked(build(source, toy_pairs, Modality.image, steps=0, random_start=True), toy_pairs, [0, 1])
    assert 0.9 * 8 / 255 < float(start.abs().max()) <= 8 / 255 + 1e-6
    assert abs(float(start.mean())) < 0.1 * 8 / 255
    assert float((start[0] - start[1]).abs().mean()) > 0.3 * 8 / 255  # 2/3 of epsilon for independent draws


def test_queried_anchors_decide_who_is_near(source: HashingNetwork, toy_pairs: Pairs) -> None:
    module = build(source, toy_pairs, Modality.image)
    own = binary_codes(source.hash_images(toy_pairs.batch([0, 1]).images))
    assert torch.equal(attacked(module, toy_pairs, [0, 1], own), attacked(module, toy_pairs, [0, 1]))
    assert not torch.equal(attacked(module, toy_pairs, [0, 1], -own), attacked(module, toy_pairs, [0, 1]))


def test_only_the_attacked_modality_and_no_label_is_read(source: HashingNetwork, toy_pairs: Pairs) -> None:
    module = build(source, toy_pairs, Modality.image)
    pairs = toy_pairs.batch([0, 1])
    blind = replace(pairs, texts=torch.full_like(pairs.texts, float("nan")), labels=pairs.labels[:0])
    assert torch.equal(module.predict_step(AttackBatch(blind), 0), attacked(module, toy_pairs, [0, 1]))


def test_diversity_changes_the_images_that_are_seen(source: HashingNetwork, toy_pairs: Pairs) -> None:
    plain = attacked(build(source, toy_pairs, Modality.image), toy_pairs, [0, 1])
    never = build(source, toy_pairs, Modality.image, gradients=diverse(0.0, 0.5))
    always = build(source, toy_pairs, Modality.image, gradients=diverse(1.0, 0.5))
    assert float(((attacked(never, toy_pairs, [0, 1]) - plain).abs() < 1e-6).float().mean()) > 0.99
    assert float(((attacked(always, toy_pairs, [0, 1]) - plain).abs() < 1e-6).float().mean()) < 0.9


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_recorded_objective_is_that_of_the_deltas_on_the_way(
    source: HashingNetwork, toy_pairs: Pairs, modality: Modality
) -> None:
    rows, steps = [0, 1, 2], 5
    clean = clean_inputs(toy_pairs, rows, modality)
    module = build(source, toy_pairs, modality, steps=steps)
    delta = attacked(module, toy_pairs, rows)
    assert module.recorded is not None
    assert (module.recorded.shape, module.recorded.dtype) == ((steps,), torch.float64)
    on_the_way = [torch.zeros_like(clean)]
    for number in range(1, steps + 1):
        shorter = build(source, toy_pairs, modality, steps=number)
        on_the_way.append(attacked(shorter, toy_pairs, rows))
    assert torch.equal(delta, on_the_way[-1])
    for recorded, change in zip(module.recorded.tolist(), on_the_way, strict=False):
        naive = sum(float(value) for value in objective(module, clean + change, clean))
        assert recorded == pytest.approx(naive, rel=1e-6)
