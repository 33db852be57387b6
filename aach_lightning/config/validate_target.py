"""Rules of `target`."""

from urllib.parse import urlsplit

from aach_lightning.config.choices import AdversarialMethod, SourceName
from aach_lightning.config.method import CheckpointConfig, DCMHConfig, HttpConfig
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.target import (
    AdversarialConfig,
    BitDepthConfig,
    CmlaHardeningConfig,
    HardeningConfig,
    JPEGConfig,
    MedianConfig,
    NoDefenceConfig,
    ResizeConfig,
)
from aach_lightning.config.validate_checkpoint import check_checkpoint
from aach_lightning.config.validate_method import check_method

TARGETS = (
    *("acmr", "checkpoint", "cmhh", "cpah", "dadh", "dchmt", "dcmh"),
    *("dgcpn", "djsrh", "http", "jdsh", "onnx", "ssah", "torchscript"),
)
_METHODS = {
    AdversarialConfig: AdversarialMethod.none,
    CmlaHardeningConfig: AdversarialMethod.cmla,
    HardeningConfig: AdversarialMethod.pgd,
}


def check_target(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `target`."""
    target = config.target
    found.need(target.name in TARGETS, "target.name", target.name, f"must be one of {', '.join(TARGETS)}")
    allowed = "must lie in 1 to 1024 bits"
    found.need(1 <= target.code_length <= 1024, "target.code_length", target.code_length, allowed)
    found.positive("target.validation")
    if isinstance(target.method, HttpConfig):
        _check_remote(config, target.method, found)
    elif isinstance(target.method, CheckpointConfig):
        check_checkpoint(config, target.method, found)
    else:
        found.positive("target.image_lr", "target.text_lr", "target.batch_size", "target.epochs")
    check_method(config, found)
    found.below_one("target.image_net.dropout", "target.text_net.dropout")
    found.not_negative("target.image_net.hidden", "target.text_net.hidden")
    chosen, method = target.adversarial.method, _METHODS[type(target.adversarial)]
    allowed = f"its other keys are those of {method}; choose by target/adversarial={chosen}"
    found.need(chosen is method, "target.adversarial.method", chosen, allowed)
    if isinstance(target.adversarial, HardeningConfig):
        allowed = "hardening goes on with DCMH's loss: choose target=dcmh, or target/adversarial=none"
        found.need(isinstance(target.method, DCMHConfig), "target.adversarial.method", chosen, allowed)
        names = ("epsilon", "text_epsilon", "steps", "step_size", "epochs", "lr")
        found.positive(*(f"target.adversarial.{name}" for name in names))
    if isinstance(target.adversarial, CmlaHardeningConfig):
        found.positive("target.adversarial.pairs")
        found.not_negative("target.adversarial.intra_weight")
    _check_defence(config, found)


def _check_remote(config: RunConfig, method: HttpConfig, found: Mistakes) -> None:
    found.positive(*(f"target.method.{name}" for name in ("timeout", "attempts", "backoff", "connections", "items")))
    address = urlsplit(method.url)
    plain = address.scheme in ("http", "https") and bool(address.hostname) and "@" not in address.netloc
    allowed = "must be http://host:port or https://host, without a key in it: that is read from AACH_API_KEY"
    found.need(plain and not address.query, "target.method.url", method.url, allowed)
    bound, source = config.evaluation.white_box, config.attack.source
    weights = "nobody has the weights of a target that answers over HTTP: choose"
    found.need(not bound, "evaluation.white_box", bound, f"{weights} evaluation.white_box=false")
    found.need(
        source is not SourceName.target, "attack.source", source, f"{weights} attack.source=surrogate or queries"
    )
    defence = config.target.defence
    name = type(defence).__name__
    allowed = "a target that answers over HTTP has its defences on the other side: choose target/defence=none"
    found.need(isinstance(defence, NoDefenceConfig), "target.defence", name, allowed)


def _check_defence(config: RunConfig, found: Mistakes) -> None:
    defence, key = config.target.defence, "target.defence"
    if isinstance(defence, JPEGConfig):
        # above 95 Pillow switches parts of the encoder off
        found.need(1 <= defence.quality <= 95, f"{key}.quality", defence.quality, "must lie in 1 to 95")
    if isinstance(defence, BitDepthConfig):
        found.need(1 <= defence.bits <= 8, f"{key}.bits", defence.bits, "must lie in 1 to 8 bits a channel")
    if isinstance(defence, ResizeConfig):
        found.share(f"{key}.smallest")
    if isinstance(defence, MedianConfig):
        side, window = config.data.image_size, defence.window
        allowed = f"must be odd and lie in 3 to data.image_size={side}"
        found.need(window % 2 == 1 and 3 <= window <= side, f"{key}.window", window, allowed)
