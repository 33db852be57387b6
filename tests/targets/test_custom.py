"""target=custom: a system of one's own, in this process."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.instantiate import VARIABLE
from aach_lightning.targets.access import open_target
from aach_lightning.targets.custom import code_length_of, identity_of
from aach_lightning.targets.custom_deployment import TARGET
from aach_lightning.targets.deployment import deployment_of, ensure_deployed, load_target
from aach_lightning.targets.index import CodeIndex, read_report
from aach_lightning.targets.service import TargetError
from tests.api.systems import BITS, Logits, Mean, Projections, Signs, codes_by_hand

WORDS = 16  # of the toy pairs
CUSTOM = ("target=custom", "target.code_length=16", "target.method._target_=tests.api.systems.Projections")


@pytest.fixture
def opened(toy_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Experiment]:
    """An experiment with a system; without one, that of the configuration."""
    monkeypatch.setenv(VARIABLE, "tests.")

    def made(system: object = None, *overrides: str) -> Experiment:
        experiment = toy_experiment(*CUSTOM, *overrides)
        if system is not None:
            experiment.objects[TARGET] = system
        return experiment

    return made


def white_box(experiment: Experiment) -> bool:
    return deployment_of(experiment).has_gradients()


def test_a_system_is_known_by_its_name_or_its_weights() -> None:
    first = identity_of(Projections(), None)
    assert first == identity_of(Projections(), None)
    moved = Projections()
    moved.get_buffer("text")[3, 5] += 1e-6
    others = [identity_of(system, None) for system in (moved, Projections(seed=1), Logits())]
    assert len({str(identity) for identity in (first, *others)}) == 4
    assert identity_of(Mean(), "version 1") == {"identity": "version 1"} == identity_of(moved, "version 1")
    for nameless in (Mean(), torch.nn.Identity()):
        with pytest.raises(ConfigError, match="Name it and its version"):
            identity_of(nameless, None)
    half = Projections().to(torch.bfloat16)
    half.register_buffer("scalar", torch.tensor(2))
    assert identity_of(half, None) != first


def test_its_codes_are_the_index_and_what_the_door_gives(opened: Callable[..., Experiment]) -> None:
    experiment = opened(None, f"+target.method.arguments.words={WORDS}")
    artifact = ensure_deployed(experiment)
    expected = codes_by_hand(Projections(WORDS), experiment.pairs)
    index = CodeIndex.load(artifact.path)
    assert torch.equal(index.image_codes, expected[0])
    assert torch.equal(index.text_codes, expected[1])
    assert read_report(artifact)["index_items"] == 120
    black_box, door = open_target(experiment, artifact)
    batch = experiment.pairs.batch(range(30))
    assert torch.equal(black_box.query(batch.images, batch.texts)[0], expected[0][:30])
    assert torch.equal(door.text_codes(batch.texts), expected[1][:30])
    assert (black_box.spent, black_box.budget) == (30, 30)
    assert ensure_deployed(opened(Projections(WORDS))).key == artifact.key  # the object or its class: the same system
    assert ensure_deployed(opened(Projections(WORDS, seed=1))).key != artifact.key


def test_a_system_that_answers_otherwise_under_an_old_name_is_refused(opened: Callable[..., Experiment]) -> None:
    name = "target.method.identity=mine"
    first = ensure_deployed(opened(Projections(WORDS), name))
    again = Projections(WORDS)
    again.get_buffer("image")[:] *= 1 + 1e-7  # what rounding does
    assert not ensure_deployed(opened(again, name)).built
    with pytest.raises(ConfigError, match=r"(?s)mine.*of the bits of 16 items differ. Give it another identity"):
        ensure_deployed(opened(Projections(WORDS, seed=1), name))
    assert ensure_deployed(opened(Projections(WORDS, seed=1), "target.method.identity=other")).key != first.key


@pytest.mark.parametrize(
    ("system", "expected"),
    [(Projections(WORDS), True), (Logits(WORDS), True), (Signs(WORDS), False), (Mean(), False)],
    ids=lambda value: type(value).__name__,
)
def test_which_systems_give_gradients(opened: Callable[..., Experiment], system: object, expected: bool) -> None:
    experiment = opened(system, "target.method.identity=any")
    assert white_box(experiment) is expected
    artifact = ensure_deployed(experiment)
    if not expected:
        with pytest.raises(ConfigError, match=r"gives no gradients.*choose attack.source=surrogate or queries"):
            load_target(experiment, artifact)


def test_half_a_gradient_is_enough_for_half_an_attack(opened: Callable[..., Experiment]) -> None:
    class Half(Projections):
        def hash_texts(self, texts: Tensor) -> Tensor:
            return super().hash_texts(texts).sign()

    assert white_box(opened(Half(WORDS), "attack.modality=image"))
    assert not white_box(opened(Half(WORDS), "attack.modality=text"))
    assert not white_box(opened(Half(WORDS)))


@pytest.mark.parametrize("kind", [Projections, Logits])
def test_the_white_box_is_a_copy_with_relaxed_codes(opened: Callable[..., Experiment], kind: type[Projections]) -> None:
    system = kind(WORDS)
    weight = torch.nn.Parameter(torch.ones(1))
    system.register_parameter("weight", weight)
    experiment = opened(system)
    network = load_target(experiment, ensure_deployed(experiment))
    batch = experiment.pairs.batch(range(60))
    codes = network(batch.images, batch.texts)
    for relaxed, half in zip(codes, (batch.images, batch.texts), strict=True):
        assert torch.allclose(relaxed, system.logits(half).tanh())
        assert relaxed.abs().max() <= 1
    assert weight.requires_grad
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_length_of_its_codes(toy_experiment: Callable[..., Experiment]) -> None:
    pairs = toy_experiment().pairs
    assert code_length_of(Projections(WORDS).eval(), pairs) == BITS
    with pytest.raises(TargetError, match="training mode"):
        code_length_of(Projections(WORDS).train(), pairs)
    flat = deepcopy(Mean())
    flat.hash_images = lambda images: images.mean((1, 2, 3))  # type: ignore[method-assign]
    with pytest.raises(TargetError, match="shape N x K"):
        code_length_of(flat, pairs)


def test_what_is_no_system_is_refused(opened: Callable[..., Experiment]) -> None:
    with pytest.raises(ConfigError, match="Identity has no hash_images and no hash_texts"):
        ensure_deployed(opened(torch.nn.Identity()))
    with pytest.raises(ConfigError, match=r"call that again, or name a class of your own"):
        ensure_deployed(opened(None, "target.method._target_=aach_lightning.targets.custom.given_in_process"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("target/defence=median", "a target of your own brings its defences along"),
        ("target/adversarial=pgd", "target.adversarial.method=pgd"),
        ("attack.source=target", "attack.gradient.slope=0.3: networks of your own give nothing before their tanh"),
        ("target.method._target_=os.system", "_target_=os.system is not allowed"),
    ],
)
def test_what_it_cannot_have_is_refused(
    compose_toy: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, change: str, said: str
) -> None:
    monkeypatch.setenv(VARIABLE, "tests.")
    further = ("attack.gradient.slope=0.3",) if change.startswith("attack") else ()
    assert compose_toy(*CUSTOM)
    with pytest.raises(ConfigError) as raised:
        compose_toy(*CUSTOM, *further, change)
    assert said in str(raised.value)
