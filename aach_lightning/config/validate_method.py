"""Rules of `target.method`."""

from aach_lightning.config.method import (
    ACMRConfig,
    AuxiliaryMethodConfig,
    CMHHConfig,
    CPAHConfig,
    DADHConfig,
    DCHMTConfig,
    DCMHConfig,
    DGCPNConfig,
    DJSRHConfig,
    JDSHConfig,
    MethodConfig,
    SemanticMethodConfig,
    SSAHConfig,
)
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig

_POSITIVE: dict[type[MethodConfig], tuple[str, ...]] = {
    CMHHConfig: ("beta",),
    ACMRConfig: ("margin",),
    SSAHConfig: ("label_hidden",),
}
_NOT_NEGATIVE: dict[type[MethodConfig], tuple[str, ...]] = {
    DCMHConfig: ("gamma", "eta"),
    CMHHConfig: ("gamma", "quantisation"),
    ACMRConfig: ("alpha", "beta", "negatives", "adversarial"),
    SSAHConfig: ("alpha", "gamma", "eta", "beta", "adversarial", "label_epochs"),
    CPAHConfig: ("alpha", "beta", "adversarial", "penalty"),
    DADHConfig: ("margin", "alpha", "eta", "mu", "theta", "penalty", "gamma"),
}


def check_method(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `target.method`."""
    target, method = config.target, config.target.method
    found.positive(*(f"target.method.{name}" for name in _POSITIVE.get(type(method), ())))
    found.not_negative(*(f"target.method.{name}" for name in _NOT_NEGATIVE.get(type(method), ())))
    if isinstance(method, AuxiliaryMethodConfig):
        found.positive("target.method.auxiliary_lr")
    if isinstance(method, SemanticMethodConfig):
        image, text = target.image_net.hidden, target.text_net.hidden
        allowed = f"must be that of target.text_net.hidden={text}: {target.name} compares their features"
        found.need(image == text, "target.image_net.hidden", image, allowed)
    if isinstance(method, CPAHConfig):
        for half, net in (("image", target.image_net), ("text", target.text_net)):
            allowed = "must be true: CPAH hashes what both modalities have in common"
            found.need(net.refined, f"target.{half}_net.refined", net.refined, allowed)
    if isinstance(method, DCHMTConfig):
        found.share("target.method.vartheta")
    _check_unsupervised(config, found)


def _check_unsupervised(config: RunConfig, found: Mistakes) -> None:
    method, key = config.target.method, "target.method"
    if isinstance(method, DJSRHConfig):
        found.share_or_zero(f"{key}.beta", f"{key}.eta")
        found.positive(f"{key}.mu")
        found.not_negative(f"{key}.intra_weight")
    if isinstance(method, JDSHConfig):
        found.positive(f"{key}.mu")
        names = ("image", "text", "joint", "left", "right", "intra")
        found.not_negative(*(f"{key}.{name}_weight" for name in names), f"{key}.left_border", f"{key}.right_border")
        total = method.image_weight + method.text_weight + method.joint_weight
        weights = f"{key}.image_weight + text_weight + joint_weight"
        found.need(total > 0, weights, total, "at least one must be greater than 0, or all pairs were alike")
    if isinstance(method, DGCPNConfig):
        found.share_or_zero(f"{key}.gamma", f"{key}.alpha")
        found.positive(f"{key}.neighbours")
        found.not_negative(f"{key}.pair_weight", f"{key}.consistency_weight")
