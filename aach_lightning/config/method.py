"""Typed configuration of how a target learns: what each method's paper calls hyperparameters."""

from dataclasses import dataclass

from omegaconf import MISSING

from aach_lightning.config.choices import CheckpointFormat, ConventionName


@dataclass
class MethodConfig:
    """How a target learns; a subclass adds what its paper calls hyperparameters."""

    _target_: str = MISSING


@dataclass
class DCMHConfig(MethodConfig):
    """DCMH."""

    _target_: str = "aach_lightning.targets.dcmh.DCMHModule"
    gamma: float = MISSING  # weight of quantisation
    eta: float = MISSING  # weight of bit balance


@dataclass
class DJSRHConfig(MethodConfig):
    """DJSRH."""

    _target_: str = "aach_lightning.zoo.djsrh.DJSRHModule"
    beta: float = MISSING  # share of images in the joint similarity
    eta: float = MISSING  # share of neighbours in it
    mu: float = MISSING  # its scale
    intra_weight: float = MISSING  # of the parts within a modality


@dataclass
class JDSHConfig(MethodConfig):
    """JDSH."""

    _target_: str = "aach_lightning.zoo.jdsh.JDSHModule"
    image_weight: float = MISSING  # in the joint similarity
    text_weight: float = MISSING  # in it
    joint_weight: float = MISSING  # of both together, in it
    left_border: float = MISSING  # dissimilar: that many scales below the peak of the distribution
    right_border: float = MISSING  # similar: that many scales above it
    left_weight: float = MISSING  # how much dissimilar pairs are strengthened
    right_weight: float = MISSING  # how much similar ones are
    mu: float = MISSING  # scale of the joint similarity
    intra_weight: float = MISSING  # of the parts within a modality


@dataclass
class DGCPNConfig(MethodConfig):
    """DGCPN."""

    _target_: str = "aach_lightning.zoo.dgcpn.DGCPNModule"
    gamma: float = MISSING  # share of images in the similarity of two pairs
    neighbours: int = MISSING  # k of each pair, itself among them
    alpha: float = MISSING  # share of the coherence of neighbours in the joint similarity
    pair_weight: float = MISSING  # of the agreement of the halves of a pair
    consistency_weight: float = MISSING  # of the agreement of similarities within and between modalities


@dataclass
class CMHHConfig(MethodConfig):
    """CMHH."""

    _target_: str = "aach_lightning.zoo.cmhh.CMHHModule"
    beta: float = MISSING  # how fast similarity falls with Hamming distance, per bit
    gamma: float = MISSING  # how much pairs that are right already are passed over
    quantisation: float = MISSING  # weight


@dataclass
class AuxiliaryMethodConfig(MethodConfig):
    """A method with networks that are not deployed."""

    auxiliary_lr: float = MISSING  # of those networks


@dataclass
class ACMRConfig(AuxiliaryMethodConfig):
    """ACMR."""

    _target_: str = "aach_lightning.zoo.acmr.ACMRModule"
    alpha: float = MISSING  # weight of triplets
    beta: float = MISSING  # weight of label prediction
    negatives: float = MISSING  # weight of dissimilar items in a triplet
    margin: float = MISSING  # how far they shall be, root mean square over bits
    adversarial: float = MISSING  # weight of the modality classifier


@dataclass
class SemanticMethodConfig(AuxiliaryMethodConfig):
    """A method that compares the features that are hashed: both halves need a hidden layer of one width."""


@dataclass
class SSAHConfig(SemanticMethodConfig):
    """SSAH."""

    _target_: str = "aach_lightning.zoo.ssah.SSAHModule"
    alpha: float = MISSING  # weight of similarities of features
    gamma: float = MISSING  # weight of similarities of codes
    eta: float = MISSING  # weight of quantisation
    beta: float = MISSING  # weight of label prediction
    adversarial: float = MISSING  # weight of the discriminators
    label_hidden: int = MISSING  # width of the first layer of the label network
    label_epochs: int = MISSING  # passes over the labels in which it learns alone


@dataclass
class DADHConfig(SemanticMethodConfig):
    """DADH."""

    _target_: str = "aach_lightning.zoo.dadh.DADHModule"
    margin: float = MISSING  # of cosine distances
    alpha: float = MISSING  # weight of triplets
    eta: float = MISSING  # weight of quantisation
    mu: float = MISSING  # weight of the discriminators
    theta: float = MISSING  # weight of the distance within a pair
    penalty: float = MISSING  # weight of the gradient penalty of the discriminators
    gamma: float = MISSING  # weight of relaxed codes, beside labels, in discrete codes


@dataclass
class CPAHConfig(SemanticMethodConfig):
    """CPAH."""

    _target_: str = "aach_lightning.zoo.cpah.CPAHModule"
    alpha: float = MISSING  # weight of consistency and label classification
    beta: float = MISSING  # weight of quantisation
    adversarial: float = MISSING  # weight of the discriminator
    penalty: float = MISSING  # weight of its gradient penalty


@dataclass
class DCHMTConfig(MethodConfig):
    """DCHMT."""

    _target_: str = "aach_lightning.zoo.dchmt.DCHMTModule"
    vartheta: float = MISSING  # share of bits in which dissimilar items shall differ


@dataclass
class HttpConfig(MethodConfig):
    """Not learned here: the target answers over HTTP."""

    _target_: str = "aach_lightning.targets.remote_deployment.RemoteDeployment"
    url: str = MISSING
    timeout: float = MISSING  # seconds until the next bytes of an answer
    attempts: int = MISSING  # times that a request is sent
    backoff: float = MISSING  # seconds before the third of them, then doubled
    connections: int = MISSING  # requests at once
    items: int = MISSING  # images or texts of a request


@dataclass
class CheckpointConfig(MethodConfig):
    """Not learned here: somebody else's networks, from files."""

    _target_: str = "aach_lightning.zoo.checkpoint_deployment.CheckpointDeployment"
    format: CheckpointFormat = MISSING
    image_file: str = MISSING  # or the file of both networks
    text_file: str | None = None
    weights_file: str | None = None  # imagenet-vgg-f.mat, where a format goes without its backbone or average image
    convention: ConventionName = MISSING  # what the image network reads
    transposed: bool | None = None  # width before height; null: as the format says
    feature_mean: float = MISSING  # of the backbone's features, subtracted before the image network
    feature_std: float = MISSING  # likewise, divided by
    largest_mib: int = MISSING  # of a file


METHOD_SCHEMAS: dict[str, type[MethodConfig]] = {
    "acmr_schema": ACMRConfig,
    "checkpoint_schema": CheckpointConfig,
    "cmhh_schema": CMHHConfig,
    "cpah_schema": CPAHConfig,
    "dadh_schema": DADHConfig,
    "dchmt_schema": DCHMTConfig,
    "dcmh_schema": DCMHConfig,
    "dgcpn_schema": DGCPNConfig,
    "djsrh_schema": DJSRHConfig,
    "http_schema": HttpConfig,
    "jdsh_schema": JDSHConfig,
    "ssah_schema": SSAHConfig,
}
