"""How a target learns: the hyperparameters of each method's paper; the names are the choices of `target/method`."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from omegaconf import MISSING

from aach_lightning.config.choices import CheckpointFormat, ConventionName
from aach_lightning.config.option import LARGEST, NOT_NEGATIVE, POSITIVE, RATE, SHARE, SHARE_OR_ZERO, Limits, option


@dataclass
class MethodConfig:
    """How a target learns."""

    _target_: str = MISSING


@dataclass
class DCMHConfig(MethodConfig):
    """DCMH (Jiang and Li, CVPR 2017): likelihood of the similarities between modalities, quantisation, bit balance.

    The paper has eta 1, where steps alternate between modalities; with joint steps 1 leaves one constant text code.
    """

    _target_: str = "aach_lightning.targets.dcmh.DCMHModule"
    gamma: float = option(1.0, "weight of quantisation", NOT_NEGATIVE)
    eta: float = option(0.001, "weight of bit balance", NOT_NEGATIVE)


@dataclass
class DJSRHConfig(MethodConfig):
    """DJSRH (Su, Zhong and Zhang, ICCV 2019): no labels; joint similarities, and those of neighbours, reconstructed."""

    _target_: str = "aach_lightning.zoo.djsrh.DJSRHModule"
    beta: float = option(0.9, "share of images in the joint similarity", SHARE_OR_ZERO)
    eta: float = option(0.4, "share of neighbours in it", SHARE_OR_ZERO)
    mu: float = option(1.5, "its scale", POSITIVE)
    intra_weight: float = option(0.1, "lambda, of the parts within a modality", NOT_NEGATIVE)


@dataclass
class JDSHConfig(MethodConfig):
    """JDSH (Liu et al., SIGIR 2020): no labels; joint similarities, weighted by their distribution, reconstructed.

    Values are those of the authors' code for MIRFlickr.
    """

    _target_: str = "aach_lightning.zoo.jdsh.JDSHModule"
    image_weight: float = option(0.5, "in the joint similarity", NOT_NEGATIVE)
    text_weight: float = option(0.1, "in the joint similarity", NOT_NEGATIVE)
    joint_weight: float = option(0.4, "of both together, in the joint similarity", NOT_NEGATIVE)
    left_border: float = option(2.0, "dissimilar: so many scales of the left tail below the peak", NOT_NEGATIVE)
    right_border: float = option(4.0, "similar: so many scales of the right tail above the peak", NOT_NEGATIVE)
    left_weight: float = option(0.1, "how much dissimilar pairs are strengthened", NOT_NEGATIVE)
    right_weight: float = option(0.2, "how much similar pairs are strengthened", NOT_NEGATIVE)
    mu: float = option(1.47, "scale of the joint similarity", POSITIVE)
    intra_weight: float = option(0.1, "of the parts within a modality", NOT_NEGATIVE)


@dataclass
class DGCPNConfig(MethodConfig):
    """DGCPN (Yu, Zhou, Zhan and Tao, AAAI 2021): no labels; coherence of graph neighbours, coexistence, consistency.

    Values are chosen here, not taken from the paper: the similarities are on a scale of their own.
    """

    _target_: str = "aach_lightning.zoo.dgcpn.DGCPNModule"
    gamma: float = option(0.5, "share of images in the similarity of two pairs", SHARE_OR_ZERO)
    neighbours: int = option(100, "k of each pair, itself among them", POSITIVE)
    alpha: float = option(0.5, "share of the coherence of neighbours in the joint similarity", SHARE_OR_ZERO)
    pair_weight: float = option(0.1, "of the agreement of the halves of a pair", NOT_NEGATIVE)
    consistency_weight: float = option(
        0.1, "of the agreement of similarities within and between modalities", NOT_NEGATIVE
    )


@dataclass
class CMHHConfig(MethodConfig):
    """CMHH (Cao et al., ECCV 2018): focal likelihood of the similarities by Hamming distance, quantisation.

    Values are chosen on tiny data, where beta 0.2 left one constant code: public code finds none in the paper.
    """

    _target_: str = "aach_lightning.zoo.cmhh.CMHHModule"
    beta: float = option(0.1, "how fast similarity falls with Hamming distance, per bit", POSITIVE)
    gamma: float = option(1.0, "how much pairs that are right already are passed over", NOT_NEGATIVE)
    quantisation: float = option(0.1, "weight", NOT_NEGATIVE)


@dataclass
class AuxiliaryMethodConfig(MethodConfig):
    """A method with networks that are not deployed."""

    auxiliary_lr: float = option(1e-3, "learning rate of the networks that are not deployed", RATE)


@dataclass
class ACMRConfig(AuxiliaryMethodConfig):
    """ACMR (Wang et al., ACM MM 2017), hashed by sign: label prediction, triplets, a modality classifier to mislead.

    The paper searches its weights per data set; its distances are not divided by the root of K.
    """

    _target_: str = "aach_lightning.zoo.acmr.ACMRModule"
    alpha: float = option(1.0, "weight of triplets", NOT_NEGATIVE)
    beta: float = option(1.0, "weight of label prediction", NOT_NEGATIVE)
    negatives: float = option(1.0, "weight of dissimilar items in a triplet", NOT_NEGATIVE)
    margin: float = option(1.4, "root mean square over bits; the default: nothing in common", POSITIVE)
    adversarial: float = option(1.0, "weight of the modality classifier", NOT_NEGATIVE)


@dataclass
class SemanticMethodConfig(AuxiliaryMethodConfig):
    """A method that compares the features that are hashed: both halves need a hidden layer of one width."""


@dataclass
class SSAHConfig(SemanticMethodConfig):
    """SSAH (Li et al., CVPR 2018): likelihood of similarities to labels, of features and codes; discriminators.

    The paper has alpha 1: products of 512 features that are never negative then outweigh those of the codes; 0.1 is the
    better of the two on drawn scenes. It subtracts a sum over items from sums over pairs, here both are means, and has
    SGD from 1e-4 on for each network in turn, here one Adam step for all.
    """

    _target_: str = "aach_lightning.zoo.ssah.SSAHModule"
    alpha: float = option(0.1, "weight of similarities of features", NOT_NEGATIVE)
    gamma: float = option(1.0, "weight of similarities of codes", NOT_NEGATIVE)
    eta: float = option(1e-4, "weight of quantisation", NOT_NEGATIVE)
    beta: float = option(1e-4, "weight of label prediction", NOT_NEGATIVE)
    adversarial: float = option(0.1, "weight of the discriminators", NOT_NEGATIVE)
    label_hidden: int = option(4096, "width of the first layer of the label network", Limits(above=0, at_most=2**16))
    label_epochs: int = option(15, "passes over the labels in which it learns alone, the authors' most", NOT_NEGATIVE)


@dataclass
class DADHConfig(SemanticMethodConfig):
    """DADH (Bai et al., ICMR 2020): weighted cosine triplets, quantisation to codes from labels, discriminators.

    Values are those of an earlier state of the authors' public code.
    """

    _target_: str = "aach_lightning.zoo.dadh.DADHModule"
    margin: float = option(0.4, "of cosine distances", NOT_NEGATIVE)
    alpha: float = option(10.0, "weight of triplets", NOT_NEGATIVE)
    eta: float = option(1.0, "weight of quantisation", NOT_NEGATIVE)
    mu: float = option(0.5, "weight of the discriminators", NOT_NEGATIVE)
    theta: float = option(1.0, "weight of the distance within a pair", NOT_NEGATIVE)
    penalty: float = option(10.0, "weight of the gradient penalty of the discriminators", NOT_NEGATIVE)
    gamma: float = option(1e-5, "weight of relaxed codes, beside labels, in discrete codes", NOT_NEGATIVE)


@dataclass
class CPAHConfig(SemanticMethodConfig):
    """CPAH (Xie et al., TIP 2020): similarities, quantisation, classifiers and a discriminator of common features.

    alpha and beta are read off figure 4 of the paper by a public port, whose discriminator's loss is a mean beside
    sums; its weight is open in the paper.
    """

    _target_: str = "aach_lightning.zoo.cpah.CPAHModule"
    alpha: float = option(0.1, "weight of consistency and label classification", NOT_NEGATIVE)
    beta: float = option(1.0, "weight of quantisation", NOT_NEGATIVE)
    adversarial: float = option(100.0, "weight of the discriminator", NOT_NEGATIVE)
    penalty: float = option(10.0, "weight of its gradient penalty", NOT_NEGATIVE)


@dataclass
class DCHMTConfig(MethodConfig):
    """DCHMT (Tu et al., ACM MM 2022): distances of selections, small for similar items, else sqrt(2 K vartheta).

    With image_net@target.image_net=clip text_net@target.text_net=identity, and data.encoder naming the same CLIP.
    """

    _target_: str = "aach_lightning.zoo.dchmt.DCHMTModule"
    vartheta: float = option(0.5, "share of bits in which dissimilar items shall differ", SHARE)


def _address(url: str) -> str | None:
    try:
        address = urlsplit(url)
        plain = address.scheme in ("http", "https") and bool(address.hostname) and "@" not in address.netloc
        if plain and not address.query and address.port != 0:
            return None
    except ValueError:  # brackets or a port that make no sense
        pass
    return "must be http://host:port or https://host, without a key in it: that is read from AACH_API_KEY"


@dataclass
class HttpConfig(MethodConfig):
    """Not learned here: a service that answers over HTTP; its key is in the environment variable AACH_API_KEY."""

    _target_: str = "aach_lightning.targets.remote_deployment.RemoteDeployment"
    url: str = option(MISSING, "http://host:port, without /v1", _address)
    timeout: float = option(30.0, "seconds until the next bytes of an answer", POSITIVE)
    attempts: int = option(8, "times that a request is sent", POSITIVE)
    backoff: float = option(1.0, "seconds before the third of them, then doubled", POSITIVE)
    connections: int = option(4, "requests at once", Limits(1, 1024))
    items: int = option(16, "images or texts of a request", POSITIVE)


@dataclass
class CheckpointConfig(MethodConfig):
    """Not learned here: networks that somebody else has trained, from files."""

    _target_: str = "aach_lightning.zoo.checkpoint_deployment.CheckpointDeployment"
    format: CheckpointFormat = option(MISSING, "whose files they are")
    image_file: str = option(MISSING, "or the one file of both networks")
    text_file: str | None = option(None, "the other file, of formats that have two")
    weights_file: str | None = option(None, "imagenet-vgg-f.mat, where a format goes without its backbone")
    convention: ConventionName = option(ConventionName.own, "what the image network reads; own: as the format says")
    transposed: bool | None = option(None, "width before height; null: as the format has it")
    feature_mean: float = option(0.0, "of the backbone's features, where a pack standardises them", Limits(-LARGEST))
    feature_std: float = option(1.0, "likewise, divided by", POSITIVE)
    largest_mib: int = option(2048, "of a file", POSITIVE)


@dataclass
class CustomMethodConfig(MethodConfig):
    """Not learned here: a class of your own with hash_images and hash_texts, which answers in this process."""

    identity: str | None = option(None, "its name and version; null: an nn.Module is known by class and weights")
    arguments: dict[str, Any] = option(dict, "of the class that _target_ names")


METHODS: dict[str, type[MethodConfig]] = {
    "acmr": ACMRConfig,
    "checkpoint": CheckpointConfig,
    "cmhh": CMHHConfig,
    "cpah": CPAHConfig,
    "custom": CustomMethodConfig,
    "dadh": DADHConfig,
    "dchmt": DCHMTConfig,
    "dcmh": DCMHConfig,
    "dgcpn": DGCPNConfig,
    "djsrh": DJSRHConfig,
    "http": HttpConfig,
    "jdsh": JDSHConfig,
    "ssah": SSAHConfig,
}
