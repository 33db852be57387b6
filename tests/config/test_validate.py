from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from aach_lightning.config import encoders
from aach_lightning.config.answer import AnswerConfig
from aach_lightning.config.attack import (
    CmlaObjectiveConfig,
    HagObjectiveConfig,
    SdhaObjectiveConfig,
    TargetCodeObjectiveConfig,
)
from aach_lightning.config.choices import (
    AdversarialMethod,
    AnswerName,
    BankName,
    NormName,
    Quantisation,
    Selection,
    SourceName,
    Supervision,
)
from aach_lightning.config.data import CocoConfig, FolderConfig, MirFlickrConfig, NusWideConfig
from aach_lightning.config.method import DGCPNConfig, DJSRHConfig, JDSHConfig
from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.config.search import NESConfig, SearchConfig, SignHunterConfig, SquareConfig
from aach_lightning.config.surrogate import RandomMiningConfig, RankMiningConfig, SemiHardMiningConfig
from aach_lightning.config.target import (
    BitDepthConfig,
    CmlaHardeningConfig,
    EncoderConfig,
    HardeningConfig,
    JPEGConfig,
    MedianConfig,
    ResizeConfig,
)
from aach_lightning.config.validate import validate
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.run import checked_config

CONF = Path(__file__).parents[2] / "conf"
NAN, INFINITE = float("nan"), float("inf")
POSITIVE = [
    "split.query",
    "split.train",
    "target.image_lr",
    "target.text_lr",
    "target.batch_size",
    "target.epochs",
    "target.validation",
    "budget.pairs",
    "surrogate.image_lr",
    "surrogate.backbone_lr",
    "surrogate.text_lr",
    "surrogate.batch_size",
    "surrogate.epochs",
    "surrogate.seeds",
    "surrogate.public_pairs",
    "surrogate.adversarial.steps",
    "attack.epsilon",
    "attack.text_epsilon",
    "attack.steps",
    "attack.step.size",
    "attack.batch_size",
    "evaluation.queries",
    "evaluation.picture_rows",
    "trainer.devices",
]
NOT_NEGATIVE = [
    "target.method.gamma",
    "target.method.eta",
    "surrogate.margin",
    "surrogate.triplet_weight",
    "surrogate.quantisation_weight",
    "surrogate.weight_decay",
    "surrogate.augmentation.noise",
    "surrogate.balance_weight",
    "surrogate.adversarial.epsilon",
    "attack.step.momentum",
    "attack.objective.margin",
    "attack.objective.quantisation_weight",
    "evaluation.held_out",
    *(f"{owner}.{net}.hidden" for owner in ("target", "surrogate") for net in ("image_net", "text_net")),
]
SHARES = ["attack.objective.positives", "attack.objective.negatives", "attack.gradient.diversity.smallest"]
RANGES = [  # key, values refused, values allowed
    ("data.image_size", [15, 0, -32], [16]),
    ("target.code_length", [0, -1, 1025], [4, 1024]),
    ("mining.gap", [0, -1, 17], [1, 16]),
    ("budget.first_share", [0.0, 1.0, -0.5, NAN], [0.01, 0.99]),
    ("attack.gradient.slope", [0.0, 1.1, -0.5, NAN], [0.1, 1.0]),
    ("surrogate.augmentation.zoom", [-0.1, 1.0, NAN], [0.0, 0.99]),
    ("attack.gradient.diversity.probability", [-0.1, 1.1, NAN], [0.0, 1.0]),
    *(
        (f"{owner}.{net}.dropout", [-0.1, 1.0, NAN], [0.0, 0.99])
        for owner in ("target", "surrogate")
        for net in ("image_net", "text_net")
    ),
    *((key, [0.0, -0.1, 1.5, NAN], [0.5]) for key in SHARES),
    *((key, [0, -1], [1]) for key in POSITIVE),
    *((key, [-1], [0]) for key in NOT_NEGATIVE),
]
HARDENING = HardeningConfig(
    method=AdversarialMethod.pgd,
    epsilon=8.0,
    text_epsilon=0.1,
    steps=5,
    step_size=0.4,
    epochs=1,
    lr=1e-4,
    frozen=False,
)
CMLA = CmlaHardeningConfig(**{**vars(HARDENING), "method": AdversarialMethod.cmla}, pairs=10, intra_weight=0.0)
JDSH = {
    **{f"{name}_weight": 0.5 for name in ("image", "text", "joint", "left", "right", "intra")},
    **{"left_border": 2.0, "right_border": 4.0, "mu": 1.5},
}
DGCPN = {"gamma": 0.5, "neighbours": 9, "alpha": 0.5, "pair_weight": 0.1, "consistency_weight": 0.1}
FLOATS = [
    *("target.image_lr", "target.text_lr", "surrogate.image_lr", "surrogate.backbone_lr", "surrogate.text_lr"),
    *(
        "attack.epsilon",
        "attack.text_epsilon",
        "attack.step.size",
        "target.method.gamma",
        "target.method.eta",
        "surrogate.margin",
    ),
    *("surrogate.triplet_weight", "surrogate.weight_decay", "surrogate.augmentation.noise", "attack.step.momentum"),
]


def put(config: RunConfig, key: str, value: Any) -> None:
    *owners, name = key.split(".")
    owner: Any = config
    for step in owners:
        owner = getattr(owner, step)
    assert hasattr(owner, name)
    setattr(owner, name, value)


def mistakes(config: RunConfig) -> list[str]:
    """The lines of the error, empty where the configuration is accepted."""
    try:
        validate(config)
    except ConfigError as error:
        first, *lines = str(error).splitlines()
        if first != "the configuration has mistakes:":
            pytest.fail(first)
        return lines
    return []


def silent(config: RunConfig, rules: list[tuple[dict[str, Any], str]]) -> list[tuple[str, list[str]]]:
    """The lines that some changes of values should have brought and did not, with those that they brought."""
    missed = []
    for changes, line in rules:
        changed = deepcopy(config)
        for key, value in changes.items():
            put(changed, key, deepcopy(value))
        found = mistakes(changed)
        if not any(one.startswith(f"  - {line}") for one in found):
            missed.append((line, found))
    return missed


@pytest.fixture(scope="module")
def valid() -> RunConfig:
    register_schemas()
    sizes = ["data.pairs=60", "split.query=10", "split.train=40", "budget.pairs=30", "evaluation.queries=6"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return checked_config(compose("attack", ["paths.output=out", "target.code_length=16", *sizes]))


@pytest.fixture
def config(valid: RunConfig) -> RunConfig:
    return deepcopy(valid)


def numeric_keys(config: Any, prefix: str = "") -> Iterator[str]:
    for one in fields(config):
        value = getattr(config, one.name)
        if is_dataclass(value):
            yield from numeric_keys(value, f"{prefix}{one.name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{one.name}"


def test_nonsense_is_refused_by_name_whatever_the_key(config: RunConfig) -> None:
    """Also that no rule breaks down over it."""
    keys = list(numeric_keys(config))
    assert len(keys) > 60
    for key in keys:
        for value in (NAN, INFINITE, -INFINITE, 1e30, -1e30):
            changed = deepcopy(config)
            put(changed, key, value)
            assert any(line.startswith(f"  - {key}={value}: ") for line in mistakes(changed)), (key, value)
    zero_or_less = {(key, value) for key in keys for value in (0, -1) if not refused(config, key, value)}
    assert {key.rpartition(".")[2] for key, value in zero_or_less if value < 0} == {"seed"}
    weights = {key.rpartition(".")[2] for key, value in zero_or_less if value == 0} - {"seed"}
    assert weights == {
        *("gamma", "eta", "hidden", "dropout", "margin", "triplet_weight", "quantisation_weight", "balance_weight"),
        *("weight_decay", "zoom", "noise", "epsilon", "momentum", "probability", "neighbours", "radius", "held_out"),
    }


def refused(config: RunConfig, key: str, value: float) -> bool:
    changed = deepcopy(config)
    put(changed, key, value)
    return any(line.startswith(f"  - {key}=") for line in mistakes(changed))


def test_refused_and_allowed_values(config: RunConfig) -> None:
    for key, refused, allowed in RANGES:
        for value in refused:
            changed = deepcopy(config)
            put(changed, key, value)
            lines = mistakes(changed)
            assert any(line.startswith(f"  - {key}={value}: ") for line in lines), (key, value, lines)
        for value in allowed:
            changed = deepcopy(config)
            put(changed, key, value)
            assert not any(line.startswith(f"  - {key}=") for line in mistakes(changed)), (key, value)


@pytest.mark.parametrize("value", [NAN, INFINITE])
def test_numbers_must_be_finite(config: RunConfig, value: float) -> None:
    for key in FLOATS:
        changed = deepcopy(config)
        put(changed, key, value)
        assert any(line.startswith(f"  - {key}={value}: ") for line in mistakes(changed)), key


BETWEEN_KEYS: list[tuple[dict[str, Any], str]] = [
    ({"data.pairs": 0}, "data.pairs=0: must be greater than 0"),
    ({"data.pairs": 49}, "data.pairs=49: must be at least split.query + split.train=50"),
    (
        {"target.name": "lsh"},
        "target.name=lsh: must be one of acmr, checkpoint, cmhh, cpah, custom, dadh, dchmt, dcmh, dgcpn, djsrh, "
        "http, jdsh, onnx, ssah, torchscript",
    ),
    ({"budget.pairs": 41}, "budget.pairs=41: the M queried pairs come from the train part: must be at most"),
    ({"evaluation.queries": 11}, "evaluation.queries=11: attacked queries are the first of the query part"),
    (
        {"attack.objective.positives": 0.75, "attack.objective.negatives": 0.5},
        "attack.objective.positives + attack.objective.negatives=1.25: the two",
    ),
    ({"attack.bank": BankName.train}, "attack.bank=train: must be queried under attack.source=surrogate"),
    ({"attack.gradient.scales": 0}, "attack.gradient.scales=0: must lie in 1 to 8"),
    ({"attack.gradient.smoothing": 4}, "attack.gradient.smoothing=4: must be odd"),
    ({"attack.gradient.neighbours": -1}, "attack.gradient.neighbours=-1: must be at least 0"),
    ({"attack.norm": NormName.one_sided, "attack.epsilon": 2.5}, "attack.epsilon=2.5: must be a whole number"),
    (
        {"attack.objective": CmlaObjectiveConfig(intra_weight=-1.0, distortion_weight=0.0)},
        "attack.objective.intra_",
    ),
    (
        {"target.method": DJSRHConfig(beta=1.5, eta=0.4, mu=1.5, intra_weight=0.1)},
        "target.method.beta=1.5: must lie in [0, 1]",
    ),
    (
        {"target.method": DJSRHConfig(beta=0.9, eta=0.4, mu=0.0, intra_weight=0.1)},
        "target.method.mu=0.0: must be greater than 0",
    ),
    ({"target.method": JDSHConfig(**{**JDSH, "mu": 0.0})}, "target.method.mu=0.0: must be greater than 0"),
    (
        {"target.method": JDSHConfig(**{**JDSH, "left_border": -1.0})},
        "target.method.left_border=-1.0: must be at least 0",
    ),
    (
        {"target.method": JDSHConfig(**{**JDSH, "image_weight": 0.0, "text_weight": 0.0, "joint_weight": 0.0})},
        "target.method.image_weight + target.method.text_weight + target.method.joint_weight=0.0: at least one",
    ),
    ({"target.method": DGCPNConfig(**{**DGCPN, "alpha": -0.5})}, "target.method.alpha=-0.5: must lie in [0, 1]"),
    ({"target.method": DGCPNConfig(**{**DGCPN, "neighbours": 0})}, "target.method.neighbours=0: must be greater"),
    (
        {"target.method": DGCPNConfig(**{**DGCPN, "pair_weight": NAN})},
        "target.method.pair_weight=nan: must be at least 0",
    ),
    ({"attack.objective": HagObjectiveConfig(threshold=2.5)}, "attack.objective.threshold=2.5: must lie in (0, 2]"),
    ({"attack.objective": SdhaObjectiveConfig(sigma=0.0, distortion_weight=0.0)}, "attack.objective.sigma=0.0: "),
    (
        {"surrogate.triplet_weight": 0.0, "surrogate.quantisation_weight": 0.0},
        "surrogate.triplet_weight + surrogate.quantisation_weight=0.0: nothing would be learned",
    ),
    ({"mining": RankMiningConfig(nearest=0.0, farthest=0.5, per_anchor=1)}, "mining.nearest=0.0: must lie in (0"),
    ({"mining": RankMiningConfig(nearest=0.5, farthest=1.5, per_anchor=1)}, "mining.farthest=1.5: must lie in (0"),
    (
        {"mining": RankMiningConfig(nearest=0.75, farthest=0.5, per_anchor=1)},
        "mining.nearest + mining.farthest=1.25: the two shares of the ranking may not overlap",
    ),
    ({"mining": RankMiningConfig(nearest=0.5, farthest=0.5, per_anchor=0)}, "mining.per_anchor=0: must be greater"),
    ({"mining": RandomMiningConfig(per_anchor=-3)}, "mining.per_anchor=-3: must be greater than 0"),
    ({"mining": SemiHardMiningConfig(smallest=0, largest=4)}, "mining.smallest=0: must lie in 1 to"),
    ({"mining": SemiHardMiningConfig(smallest=5, largest=4)}, "mining.largest=4: must lie in mining.smallest=5 to"),
    ({"mining": SemiHardMiningConfig(smallest=5, largest=17)}, "mining.largest=17: must lie in mining.smallest=5"),
    (
        {"surrogate.seeds": 2, "surrogate.quantisation": Quantisation.sign},
        "surrogate.quantisation=sign: towards their own signs every network ends with other bits",
    ),
    (
        {"surrogate.members": {"second": EncoderConfig(dropout=1.0)}},
        "surrogate.members.second.dropout=1.0: must lie in [0, 1)",
    ),
    (
        {"surrogate.members": {"second": EncoderConfig()}, "surrogate.quantisation": Quantisation.sign},
        "surrogate.quantisation=sign: towards",
    ),
    ({"surrogate.learns_from": Supervision.labels}, "surrogate.quantisation=code: surrogate.learns_from=labels"),
    (
        {"surrogate.learns_from": Supervision.labels, "budget.selection": Selection.coverage},
        "budget.selection=coverage: surrogate.learns_from=labels asks nothing",
    ),
    (
        {"surrogate.learns_from": Supervision.labels, "attack.query_anchor": True},
        "attack.query_anchor=True: wants codes of the target",
    ),
    (
        {"surrogate.learns_from": Supervision.labels, "attack.objective": TargetCodeObjectiveConfig()},
        "attack.objective=TargetCode: wants codes of the target",
    ),
    (
        {"budget.selection": Selection.uncertainty, "attack.objective": TargetCodeObjectiveConfig()},
        "budget.selection=uncertainty: a label to aim at is drawn before the pairs are chosen",
    ),
    ({"target.defence": JPEGConfig(quality=0)}, "target.defence.quality=0: must lie in 1 to 95"),
    ({"target.defence": JPEGConfig(quality=96)}, "target.defence.quality=96: must lie in 1 to 95"),
    ({"target.defence": BitDepthConfig(bits=0)}, "target.defence.bits=0: must lie in 1 to 8 bits"),
    ({"target.defence": BitDepthConfig(bits=9)}, "target.defence.bits=9: must lie in 1 to 8 bits"),
    ({"target.defence": ResizeConfig(smallest=0.0, seed=0)}, "target.defence.smallest=0.0: must lie in (0, 1]"),
    ({"target.defence": ResizeConfig(smallest=1.1, seed=0)}, "target.defence.smallest=1.1: must lie in (0, 1]"),
    ({"target.defence": MedianConfig(window=1)}, "target.defence.window=1: must be odd and lie in 3 to"),
    ({"target.defence": MedianConfig(window=4)}, "target.defence.window=4: must be odd and lie in 3 to"),
    (
        {"data.image_size": 16, "target.defence": MedianConfig(window=17)},
        "target.defence.window=17: must be odd and lie in 3 to data.image_size=16",
    ),
    (
        {"target.adversarial": replace(HARDENING, method=AdversarialMethod.cmla)},
        "target.adversarial.method=cmla: its other keys are those of pgd; choose by target/adversarial=cmla",
    ),
    *(
        ({"target.adversarial": replace(HARDENING, **{name: 0})}, f"target.adversarial.{name}=0: must be greater")
        for name in ("epsilon", "text_epsilon", "steps", "step_size", "epochs")
    ),
    ({"target.adversarial": replace(HARDENING, lr=0.0)}, "target.adversarial.lr=0.0: must lie in (0, 10]"),
    ({"target.adversarial": replace(CMLA, pairs=0)}, "target.adversarial.pairs=0: must be greater than 0"),
    ({"target.adversarial": replace(CMLA, intra_weight=-1.0)}, "target.adversarial.intra_weight=-1.0: must be at"),
]


def test_rules_between_keys(config: RunConfig) -> None:
    assert silent(config, BETWEEN_KEYS) == []


NES = NESConfig(samples=2, sigma=0.5, step_size=0.2, momentum=0.0)


OF_SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({"attack.search": None}, "attack.search=None: must be nes, square or signhunter"),
    ({"attack.queries": None}, "attack.queries=None: must be at least 12: the own codes of evaluation.queries=6"),
    ({"attack.queries": 11}, "attack.queries=11: must be at least 12"),
    ({"attack.query_anchor": True}, "attack.query_anchor=True: must be false"),
    ({"attack.knows_defence": True}, "attack.knows_defence=True: must be false"),
    ({"attack.norm": NormName.l2}, "attack.norm=l2: must not be l2"),
    ({"attack.search.changed": 0.0}, "attack.search.changed=0.0: must lie in (0, 1]"),
    ({"attack.search.changed": 1.5}, "attack.search.changed=1.5: must lie in (0, 1]"),
    ({"attack.search": NES, "attack.search.samples": 3}, "attack.search.samples=3: must be even"),
    ({"attack.search": NES, "attack.search.samples": 0}, "attack.search.samples=0: must be even"),
    ({"attack.search": NES, "attack.search.sigma": 0.0}, "attack.search.sigma=0.0: must be greater than 0"),
    ({"attack.search": NES, "attack.search.step_size": NAN}, "attack.search.step_size=nan: must be greater"),
    ({"attack.search": NES, "attack.search.momentum": 1.0}, "attack.search.momentum=1.0: must lie in [0, 1)"),
    ({"attack.source": SourceName.surrogate}, "attack.queries=12: must be null under attack.source=surrogate"),
    ({"attack.source": SourceName.target}, "attack.search=SquareAttack: must be null under attack.source=target"),
]


def test_rules_of_searches(config: RunConfig) -> None:
    """Each against the least that is accepted."""
    config.attack.source, config.attack.queries = SourceName.queries, 12
    config.attack.search = SquareConfig(changed=1.0, newer_on_ties=False)
    assert mistakes(config) == []
    assert silent(config, OF_SEARCHES) == []


@pytest.mark.parametrize("search", [NES, SignHunterConfig()])
def test_what_other_searches_accept(config: RunConfig, search: SearchConfig) -> None:
    config.attack.source, config.attack.queries, config.attack.search = SourceName.queries, 12, deepcopy(search)
    config.attack.norm = NormName.l2
    assert mistakes(config) == []


@pytest.mark.parametrize(
    ("key", "value"), [("data.pairs", 50), ("budget.pairs", 40), ("evaluation.queries", 10), ("mining.gap", 16)]
)
def test_bounds_themselves_are_allowed(config: RunConfig, key: str, value: int) -> None:
    put(config, key, value)
    assert mistakes(config) == []


@pytest.mark.parametrize(
    "mining",
    [RankMiningConfig(nearest=0.5, farthest=0.5, per_anchor=1), RandomMiningConfig(per_anchor=1)],
)
def test_other_minings_are_allowed(config: RunConfig, mining: Any) -> None:
    config.mining = mining
    assert mistakes(config) == []


@pytest.mark.parametrize(
    "defence",
    [
        *(JPEGConfig(quality=quality) for quality in (1, 95)),
        *(BitDepthConfig(bits=bits) for bits in (1, 8)),
        ResizeConfig(smallest=1.0, seed=-1),
        MedianConfig(window=3),
    ],
)
def test_defences_that_are_allowed(config: RunConfig, defence: Any) -> None:
    config.target.defence = defence
    assert mistakes(config) == []


@pytest.mark.parametrize("hardening", [HARDENING, CMLA])
def test_hardenings_that_are_allowed(config: RunConfig, hardening: Any) -> None:
    config.target.adversarial = hardening
    assert mistakes(config) == []


def test_folder_of_pairs(config: RunConfig, tmp_path: Path) -> None:
    def folder(**changes: Any) -> RunConfig:
        values = {"name": "x", "image_size": 32, "root": str(tmp_path), "words": 10, **changes}
        config.data = FolderConfig(**values)
        return config

    assert any(line.startswith(f"  - data.root={tmp_path}: must be an existing folder") for line in mistakes(folder()))
    (tmp_path / "pairs.csv").write_text("id,image,text,labels\n")
    (tmp_path / "words.txt").write_text("dog\n")
    assert mistakes(folder()) == []
    assert mistakes(folder(vocabulary=str(tmp_path / "words.txt"))) == []
    (line,) = mistakes(folder(vocabulary=str(tmp_path / "absent.txt")))
    assert line.startswith(f"  - data.vocabulary={tmp_path / 'absent.txt'}: must be an existing text file")
    (line,) = mistakes(folder(words=0))
    assert line.startswith("  - data.words=0: must be greater than 0")


def test_encoder(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pairs.csv").write_text("id,image,text,labels\n")
    (tmp_path / "words.txt").write_text("dog\n")
    config.data = FolderConfig(name="x", image_size=32, root=str(tmp_path), words=10)
    monkeypatch.setattr(encoders, "find_spec", lambda name: object())
    for encoder in ("minilm", "lab/name-2.1", "bert-base-uncased"):
        config.data.encoder = encoder
        assert mistakes(config) == []
    config.data.encoder = "no/such/folder"
    (line,) = mistakes(config)
    assert line.startswith("  - data.encoder=no/such/folder: must be null, minilm, an existing folder with a model, or")
    config.data.encoder = str(tmp_path)
    (line,) = mistakes(config)
    assert line.startswith(f"  - data.encoder={tmp_path}: the folder holds no model: there must be a config.json in it")
    (tmp_path / "config.json").write_text("{}")
    assert mistakes(config) == []
    config.data.vocabulary = str(tmp_path / "words.txt")
    (line,) = mistakes(config)
    assert line == f"  - data.vocabulary={tmp_path / 'words.txt'}: must be null beside data.encoder"
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    first, _ = mistakes(config)
    assert first.endswith("needs the package sentence_transformers: pip install 'aach-lightning[sentence]'")


def test_original_distributions(config: RunConfig, tmp_path: Path) -> None:
    common = {"name": "x", "image_size": 32, "root": str(tmp_path)}
    path = tmp_path / "absent"
    coco = {"words": 10, "caption_seed": 0}
    for right, wrong, said in (
        (MirFlickrConfig(**common, tag_images=1), {"tag_images": 0}, "data.tag_images=0: must be greater than 0"),
        (NusWideConfig(**common, labels=81), {"labels": 82}, "data.labels=82: must lie in 1 to 81"),
        (NusWideConfig(**common, labels=1), {"labels": 0}, "data.labels=0: must lie in 1 to 81"),
        (CocoConfig(**common, **coco), {"words": 0}, "data.words=0: must be greater than 0"),
        (CocoConfig(**common, **coco), {"vocabulary": str(path)}, f"data.vocabulary={path}: must be an existing text"),
        (CocoConfig(**common, **coco), {"root": str(path)}, f"data.root={path}: must be the folder in which"),
    ):
        config.data = right
        assert mistakes(config) == []
        for key, value in wrong.items():
            setattr(config.data, key, value)
        (line,) = mistakes(config)
        assert line.startswith(f"  - {said}")


def test_fractions_of_a_level_are_refused_where_rounding_would_break_them(config: RunConfig) -> None:
    config.attack.epsilon = 4.5
    (mistake,) = mistakes(config)
    assert mistake.startswith("  - attack.epsilon=4.5")
    assert "whole number" in mistake
    config.attack.norm = NormName.l2
    assert not mistakes(config)


def test_several_mistakes_are_all_reported(config: RunConfig) -> None:
    wrong = {"data.image_size": 8, "target.epochs": 0, "budget.pairs": -1, "attack.epsilon": 0.0, "trainer.devices": 0}
    for key, value in wrong.items():
        put(config, key, value)
    lines = mistakes(config)
    assert [line.split(":")[0] for line in lines] == [f"  - {key}={value}" for key, value in wrong.items()]


@pytest.mark.parametrize("name", [AnswerName.ranks, AnswerName.topk])
def test_what_works_without_codes(config: RunConfig, name: AnswerName) -> None:
    config.answer = AnswerConfig(name=name, gallery=20, k=5)
    assert mistakes(config) == []
    config.surrogate.quantisation = Quantisation.sign
    config.budget.selection = Selection.uncertainty
    assert mistakes(config) == []
    for key, value, allowed in (
        ("attack.query_anchor", True, "ranks by the target's code of each attacked item, and "),
        ("attack.target_item", "pair-3", "wants the target's code of that item, and "),
        ("attack.source", SourceName.queries, "a search measures distances between codes, and "),
    ):
        changed = deepcopy(config)
        put(changed, key, value)
        expected = f"  - {key}={value}: {allowed}answer={name} reveals none: choose "
        assert any(line.startswith(expected) for line in mistakes(changed)), mistakes(changed)
        changed.answer.name = AnswerName.codes
        assert not any("reveals none" in line for line in mistakes(changed))


def test_sizes_of_lists(config: RunConfig) -> None:
    cases = [
        (AnswerName.ranks, 1, 5, "answer.gallery=1: must lie in 2 to 65536"),
        (AnswerName.ranks, 65537, 5, "answer.gallery=65537: must lie in 2 to 65536"),
        (
            AnswerName.topk,
            20,
            20,
            "answer.k=20: must lie in 1 to answer.gallery - 1 = 19; answer=ranks gives all of them",
        ),
        (AnswerName.topk, 20, 0, "answer.k=0: must be greater than 0 and at most 1000000"),
    ]
    for name, gallery, k, line in cases:
        config.answer = AnswerConfig(name=name, gallery=gallery, k=k)
        assert mistakes(config) == [f"  - {line}"]
    config.answer = AnswerConfig(name=AnswerName.codes, gallery=20, k=20)
    assert mistakes(config) == []
    for name, gallery, k in ((AnswerName.ranks, 2, 50), (AnswerName.ranks, 65536, 50), (AnswerName.topk, 20, 19)):
        config.answer = AnswerConfig(name=name, gallery=gallery, k=k)
        assert mistakes(config) == []


def test_unchanged_configuration_is_accepted(config: RunConfig) -> None:
    assert mistakes(config) == []


@pytest.mark.parametrize("trace", ["[0]", "[2,1]", "[1,1]", "[3]", "[-1,2]"])
def test_a_trace_is_ascending_and_ends_before_the_attack(compose_toy: Callable[..., RunConfig], trace: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluation.trace=.*below attack.steps=3"):
        compose_toy(f"evaluation.trace={trace}")


@pytest.mark.parametrize("attack", ["square", "universal"])
def test_only_attacks_by_steps_have_a_trace(compose_toy: Callable[..., RunConfig], attack: str) -> None:
    with pytest.raises(ConfigError, match=rf"evaluation.trace=\[1\]: must be \[\] under attack={attack}"):
        compose_toy(f"attack={attack}", "attack.steps=3", "evaluation.trace=[1]")
