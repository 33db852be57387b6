"""Rules between keys of `target` and `answer` and others."""

from collections.abc import Iterator

from aach_lightning.config.choices import AnswerName, CheckpointFormat, Modalities, SourceName
from aach_lightning.config.method import (
    CheckpointConfig,
    CPAHConfig,
    CustomMethodConfig,
    DCMHConfig,
    HttpConfig,
    JDSHConfig,
    SemanticMethodConfig,
)
from aach_lightning.config.rules_data import Rule
from aach_lightning.config.schema import RunConfig, names
from aach_lightning.config.target import HardeningConfig, MedianConfig, NoDefenceConfig

PAIRS = (CheckpointFormat.dcmh, CheckpointFormat.torchscript, CheckpointFormat.onnx)  # two files
TOKENS = (CheckpointFormat.dchmt, CheckpointFormat.mith)  # texts are numbers of tokens
BACKBONE = (CheckpointFormat.cpah, CheckpointFormat.dgcpn)  # never in the file
AVERAGE = (CheckpointFormat.dcmh, CheckpointFormat.dadh)  # may be given


def target_rules(config: RunConfig) -> Iterator[Rule]:
    """Rules of the system under attack."""
    target, method = config.target, config.target.method
    known = names("target")
    yield target.name in known, "target.name", f"must be one of {', '.join(known)}"
    if isinstance(method, HttpConfig):
        yield from _weightless(config, "nobody has the weights of a target that answers over HTTP")
        yield _undefended(config, "a target that answers over HTTP has its defences on the other side")
    elif isinstance(method, CustomMethodConfig):
        yield _undefended(config, "a target of your own brings its defences along")
        yield _own_slope(config, "networks of your own give")
    elif isinstance(method, CheckpointConfig):
        yield from _checkpoint_rules(config, method)
    else:
        for name in ("image_lr", "text_lr", "batch_size", "epochs"):
            yield getattr(target, name) != 0, f"target.{name}", "must be greater than 0 where a target is trained"
    yield from _method_rules(config)
    chosen, own = target.adversarial.method, type(target.adversarial)().method
    allowed = f"its other keys are those of {own}; choose by target/adversarial={chosen}"
    yield chosen is own, "target.adversarial.method", allowed
    if isinstance(target.adversarial, HardeningConfig):
        allowed = "hardening goes on with DCMH's loss: choose target=dcmh, or target/adversarial=none"
        yield isinstance(method, DCMHConfig), "target.adversarial.method", allowed
    if isinstance(target.defence, MedianConfig):
        side, window = config.data.image_size, target.defence.window
        yield window <= side, "target.defence.window", f"must be odd and lie in 3 to data.image_size={side}"
    if config.answer.ranked:
        yield from _answer_rules(config)


def _weightless(config: RunConfig, why: str) -> Iterator[Rule]:
    yield not config.evaluation.white_box, "evaluation.white_box", f"{why}: choose evaluation.white_box=false"
    black_box = config.attack.source is not SourceName.target
    yield black_box, "attack.source", f"{why}: choose attack.source=surrogate or queries"


def _undefended(config: RunConfig, why: str) -> Rule:
    return isinstance(config.target.defence, NoDefenceConfig), "target.defence", f"{why}: choose target/defence=none"


def _own_slope(config: RunConfig, who: str) -> Rule:
    hard = config.attack.source is not SourceName.target or config.attack.gradient.slope == 1
    return hard, "attack.gradient.slope", f"{who} nothing before their tanh: must be 1 under attack.source=target"


def _method_rules(config: RunConfig) -> Iterator[Rule]:
    target, method = config.target, config.target.method
    if isinstance(method, SemanticMethodConfig):
        image, text = target.image_net.hidden, target.text_net.hidden
        allowed = f"must be that of target.text_net.hidden={text}: {target.name} compares their features"
        yield image == text, "target.image_net.hidden", allowed
    if isinstance(method, CPAHConfig):
        allowed = "must be true: CPAH hashes what both modalities have in common"
        yield target.image_net.refined, "target.image_net.refined", allowed
        yield target.text_net.refined, "target.text_net.refined", allowed
    if isinstance(method, JDSHConfig):
        weights = " + ".join(f"target.method.{name}_weight" for name in ("image", "text", "joint"))
        total = method.image_weight + method.text_weight + method.joint_weight
        yield total > 0, weights, "at least one must be greater than 0, or all pairs were alike"


def _checkpoint_rules(config: RunConfig, method: CheckpointConfig) -> Iterator[Rule]:
    key, form, text, weights = "target.method", method.format, method.text_file, method.weights_file
    if form in PAIRS:
        yield text is not None, f"{key}.text_file", f"format={form} is two files, give the other one"
    else:
        yield text is None, f"{key}.text_file", f"format={form} is one file: must be null"
    if form in BACKBONE:
        allowed = f"format={form} reads features of CNN-F: must be the path of imagenet-vgg-f.mat"
        yield weights is not None, f"{key}.weights_file", allowed
    elif form not in AVERAGE:
        yield weights is None, f"{key}.weights_file", f"format={form} has no use for it: must be null"
    if form is CheckpointFormat.onnx:
        yield from _weightless(config, "an ONNX file has no gradients")
    yield _own_slope(config, "networks from files give")
    allowed = f"texts of format={form} are numbers of tokens, which cannot change a little: choose image"
    yield form not in TOKENS or config.attack.modality is Modalities.image, "attack.modality", allowed


def _answer_rules(config: RunConfig) -> Iterator[Rule]:
    """What of an attack works without codes."""
    answer, attack = config.answer, config.attack
    if answer.name is AnswerName.topk:
        allowed = f"must lie in 1 to answer.gallery - 1 = {answer.gallery - 1}; answer=ranks gives all of them"
        yield answer.k < answer.gallery, "answer.k", allowed
    codes = f"answer={answer.name} reveals none: choose"
    search = attack.source is SourceName.queries
    allowed = f"a search measures distances between codes, and {codes} attack.source=surrogate, or answer=codes"
    yield not search, "attack.source", allowed
    allowed = (
        f"ranks by the target's code of each attacked item, and {codes} attack.query_anchor=false, or answer=codes"
    )
    yield not attack.query_anchor, "attack.query_anchor", allowed
    allowed = f"wants the target's code of that item, and {codes} attack.target_label, or answer=codes"
    yield attack.target_item is None, "attack.target_item", allowed
