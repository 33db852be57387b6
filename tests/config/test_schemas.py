from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from aach_lightning.config import encoders
from aach_lightning.config.choices import AdversarialMethod, LoggerName, Stage, Supervision
from aach_lightning.config.data import (
    CocoConfig,
    ContainerConfig,
    CustomDataConfig,
    FolderConfig,
    MirFlickrConfig,
    NusWideConfig,
    ScenesConfig,
)
from aach_lightning.config.method import METHODS
from aach_lightning.config.schema import CHOICES, RunConfig, names, register_schemas
from aach_lightning.config.split import chosen_sizes
from aach_lightning.config.surrogate import (
    CustomMiningConfig,
    GapMiningConfig,
    RandomMiningConfig,
    RankMiningConfig,
    SemiHardMiningConfig,
)
from aach_lightning.config.target import (
    AdversarialConfig,
    BitDepthConfig,
    CmlaHardeningConfig,
    EncoderConfig,
    HardeningConfig,
    JPEGConfig,
    MedianConfig,
    NoDefenceConfig,
    ResizeConfig,
)
from aach_lightning.errors import ConfigError
from aach_lightning.runtime.run import checked_config

CONF = Path(__file__).parents[2] / "conf"
GROUPS = {
    "data": "data",
    "protocol": "protocol",
    "target": "target",
    "target/defence": "target/defence",
    "target/method": "target/method",
    "target/adversarial": "target/adversarial",
    "image_net@target.image_net": "image_net",
    "image_net@surrogate.image_net": "image_net",
    "text_net@target.text_net": "text_net",
    "text_net@surrogate.text_net": "text_net",
    "budget": "budget",
    "mining": "mining",
    "surrogate": "surrogate",
    "attack": "attack",
    "attack/objective": "attack/objective",
    "attack/step": "attack/step",
    "attack/gradient": "attack/gradient",
    "answer": "answer",
    "trainer": "trainer",
    "logger": "logger",
}
OPTIONS = [(key, name) for key, group in GROUPS.items() for name in names(group)]
ROOTED = {
    "pairs": FolderConfig,
    "mirflickr25k": MirFlickrConfig,
    "nuswide_tc21": NusWideConfig,
    "nuswide_tc10": NusWideConfig,
    "mscoco": CocoConfig,
}
"""Data sets in a folder data.root."""
DATA = {"scenes": ScenesConfig, "container": ContainerConfig, "custom": CustomDataConfig, **ROOTED}
DEFENCES = {
    "none": NoDefenceConfig,
    "jpeg": JPEGConfig,
    "bit_depth": BitDepthConfig,
    "resize": ResizeConfig,
    "median": MedianConfig,
}
ADVERSARIAL = {"none": AdversarialConfig, "cmla": CmlaHardeningConfig, "pgd": HardeningConfig}
MINING = {
    "gap": GapMiningConfig,
    "batch_all": GapMiningConfig,
    "semi_hard": SemiHardMiningConfig,
    "rank": RankMiningConfig,
    "random": RandomMiningConfig,
    "custom": CustomMiningConfig,
}


def composed(*overrides: str, name: str = "attack") -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, ["paths.output=out", *overrides])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pairs.csv").write_text("id,image,text,labels\n")
    return tmp_path


def test_every_group_is_listed_here() -> None:
    # sweeps are read by W&B, plans by the benchmark
    covered = {
        *GROUPS.values(),
        "experiment",
        "paths",
        "hydra",
        "hydra/launcher",
        "sweep",
        "benchmark",
        "attack/search",
    }
    assert covered == {*CHOICES, *(str(file.parent.relative_to(CONF)) for file in CONF.glob("*/**/*.yaml"))}


@pytest.mark.parametrize(("key", "option"), OPTIONS)
def test_every_option_composes_and_is_valid(key: str, option: str, folder: Path) -> None:
    root = [f"data.root={folder}"] if key == "data" and option in ROOTED else []
    root += [f"data.path={folder}"] if (key, option) == ("data", "container") else []
    if key == "protocol" and option != "random":
        root = ["data=container", f"data.path={folder}", *(["split.dataset=mirflickr25k"] if option != "pack" else [])]
    if (key, option) in (("target", "http"), ("target/method", "http")):
        root = ["target.method.url=http://127.0.0.1:8080", "evaluation.white_box=false"]
    if key in ("target", "target/method") and option in ("checkpoint", "onnx", "torchscript"):
        root = [f"target.method.{name}_file=file" for name in ("image", "text")]
        root += ["target.method.format=dcmh"] if option == "checkpoint" else []
        root += ["evaluation.white_box=false"] if option == "onnx" else []
    if (key, option) == ("target/method", "cpah"):
        root = ["target.image_net.refined=true", "target.text_net.refined=true"]
    described = f"{key.split('@')[1]}.backbone" if "@" in key else key.replace("/", ".")
    described += ".method" if key == "target" else ""
    own = [f"{described}._target_=torch.nn.Identity"] if option == "custom" else []
    config = checked_config(composed(f"{key}={option}", *root, *own))
    assert isinstance(config, RunConfig)
    if key == "mining":
        assert type(config.mining) is MINING[option]
    elif key == "protocol":
        assert config.split.name == option
    elif key == "data":
        assert type(config.data) is DATA[option]
    elif key == "target/defence":
        assert type(config.target.defence) is DEFENCES[option]
    elif key == "target/adversarial":
        assert config.target.adversarial.method is AdversarialMethod(option)
        assert type(config.target.adversarial) is ADVERSARIAL[option]
    elif key == "logger":
        assert config.logger.name is LoggerName(option)
    elif "@" in key:
        owner, net = key.split("@")[1].split(".")
        encoder: EncoderConfig = getattr(getattr(config, owner), net)
        module = encoder.backbone["_target_"].split(".")[-2]
        expected = "nn" if own else option
        assert expected.startswith(module) or expected in module  # cnn_f is in cnn_f, mlp in text_mlp, lite0 in lite


def test_what_surrogates_are_made_of_and_learn_from() -> None:
    chosen = {option: checked_config(composed(f"surrogate={option}")) for option in ("default", "ensemble", "ranking")}
    alone, ensemble, ranking = (config.surrogate for config in chosen.values())
    variants = [net.backbone["variant"] for net in (ensemble.image_net, *ensemble.members.values())]
    assert variants == [0, 1]
    assert (alone.image_net.backbone["variant"], alone.members, alone.seeds) == (0, {}, 1)
    assert all(net.dropout == alone.image_net.dropout for net in ensemble.members.values())
    assert ranking.image_net.frozen
    assert ranking.margin * 2 == pytest.approx(0.1)  # of cosines, which lie in [-1, 1]
    assert chosen["ranking"].mining == RandomMiningConfig(per_anchor=8)
    assert checked_config(composed("surrogate=ranking", "mining=gap")).mining == GapMiningConfig(gap=4)
    third = checked_config(composed("surrogate=ensemble", "+image_net@surrogate.members.third=efficientnet_lite2"))
    assert third.surrogate.members["third"].backbone["variant"] == 2
    assert checked_config(composed("surrogate=transfer")).surrogate.learns_from is Supervision.labels


@pytest.mark.parametrize("option", sorted(file.stem for file in (CONF / "experiment").glob("*.yaml")))
@pytest.mark.parametrize("name", ["train", "attack"])
def test_every_experiment_composes_and_is_valid(option: str, name: str, folder: Path) -> None:
    plain = composed(f"experiment={option}", name=name)
    root = [f"data.root={folder}"] if OmegaConf.is_missing(plain.data, "root") else []
    config = checked_config(composed(f"experiment={option}", *root, name=name))
    sizes = chosen_sizes(config.split)
    assert sizes is not None
    assert min(sizes.query, sizes.train) > 0
    assert config.stage is Stage.target


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"http", "checkpoint", "custom"}))
def test_every_trained_method_has_the_protocol_of_the_field(method: str, folder: Path) -> None:
    config = checked_config(composed(f"experiment=mirflickr25k_{method}", f"data.root={folder}", name="train"))
    target, sizes = config.target, chosen_sizes(config.split)
    assert sizes is not None
    assert (config.data.name, config.data.image_size, config.trainer.accelerator) == ("mirflickr25k", 224, "gpu")
    assert (target.name, target.code_length) == (method, 32)
    assert type(target.method).__name__.lower() == f"{method}config"
    assert (sizes.query, sizes.fill_train or sizes.train) in ((2000, 10_000), (80, 5000), (5120, 10_240))
    kind = target.image_net.backbone["_target_"].rpartition(".")[2]
    assert kind == ("CLIPVision" if method == "dchmt" else "CNNF")
    assert target.image_net.frozen is (method in ("acmr", "cpah", "dadh"))
    comment = (CONF / "experiment" / f"mirflickr25k_{method}.yaml").read_text(encoding="utf-8")
    assert "# Clean MAP to expect" in comment


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("budget.pairs=abc", "budget.pairs"),
        ("budget.pairs=1.5", "budget.pairs"),
        ("budget.pairs=null", "budget.pairs"),
        ("attack.epsilon=8/255", "attack.epsilon"),
        ("attack.epsilon=[8]", "attack.epsilon"),
        ("attack.modality=sound", "attack.modality"),
        ("attack.norm=l1", "attack.norm"),
        ("attack.random_start=perhaps", "attack.random_start"),
        ("surrogate.loss=ranking", "surrogate.loss"),
        ("logger.name=tensorboard", "logger.name"),
        ("stage=attack", "stage"),
        ("target.image_net.dropout=high", "target.image_net.dropout"),
        ("mining.gap=wide", "mining.gap"),
    ],
)
def test_wrong_types_are_refused_and_named(override: str, key: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        composed(override)
    assert f"full_key: {key}" in str(caught.value.__cause__)


@pytest.mark.parametrize("override", ["budget.pears=3", "attack.epsilom=8", "mining.per_anchor=3", "data.root=x"])
def test_unknown_keys_are_refused_and_named(override: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        composed(override)
    assert override.split("=")[0].split(".")[1] in str(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("override", ["mining=none", "data=coco", "image_net@target.image_net=resnet"])
def test_unknown_options_are_refused_with_those_there_are(override: str) -> None:
    group = override.split("=")[0].split("@")[0]
    with pytest.raises(Exception, match="Could not find") as caught:
        composed(override)
    assert all(name in str(caught.value) for name in names(group))


def test_values_reach_the_typed_configuration(compose_toy: Callable[..., RunConfig]) -> None:
    config = compose_toy("attack.epsilon=4", "budget.pairs=12", "mining=rank", "stage=surrogate")
    assert (config.attack.epsilon, config.budget.pairs, config.stage) == (4.0, 12, Stage.surrogate)
    assert isinstance(config.attack.epsilon, float)


@pytest.mark.parametrize(
    ("data", "encoder", "expected"),
    [("scenes", None, 0.1), ("pairs", None, 0.1), ("pairs", "lab/x", 0.01), ("container", "lab/x", 0.01)],
)
def test_the_text_epsilon_fits_the_texts(
    data: str, encoder: str | None, expected: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: object())
    place = {"pairs": [f"data.root={folder}"], "container": [f"data.path={folder}"]}.get(data, [])
    overrides = [f"data={data}", *place, *([f"data.encoder={encoder}"] if encoder else [])]
    assert checked_config(composed(*overrides)).attack.text_epsilon == expected
    assert checked_config(composed(*overrides, "attack.text_epsilon=0.3")).attack.text_epsilon == 0.3


def test_missing_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"(?s)a value is missing.*data\.root"):
        checked_config(composed("data=pairs"))
