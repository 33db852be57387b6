"""The words that configuration keys with a fixed set of values take."""

from enum import StrEnum


class OnDamaged(StrEnum):
    """What to do with a missing or damaged image."""

    error = "error"
    skip = "skip"


class SplitRule(StrEnum):
    """How rows are chosen for the parts of a split."""

    random = "random"  # one shuffle by split.seed
    positional = "positional"  # in the order of the data
    permutation = "permutation"  # numpy's legacy permutation of a seed, as much of the field draws it
    per_label = "per_label"  # so many of each label, in the order of the labels
    pack = "pack"  # the parts in which the data come


class TripletForm(StrEnum):
    """Form of the surrogate's triplet loss."""

    hinge = "hinge"
    nll = "nll"


class Quantisation(StrEnum):
    """What a surrogate's relaxed code is pulled to."""

    sign = "sign"
    code = "code"


class AnswerName(StrEnum):
    """What a service answers with."""

    codes = "codes"
    ranks = "ranks"  # ids of a gallery, all of them, nearest first
    topk = "topk"  # the first of these


class Selection(StrEnum):
    """Which pairs an attacker sends."""

    random = "random"
    coverage = "coverage"  # spread over the surrogate's own features
    uncertainty = "uncertainty"  # some at random, then those on which what was learned from them is least sure


class Supervision(StrEnum):
    """What a surrogate learns from."""

    codes = "codes"  # the target's answers to the budget's queries
    labels = "labels"  # labels of public pairs; nothing is asked


class AdversarialMethod(StrEnum):
    """How a trained target is hardened."""

    none = "none"
    cmla = "cmla"  # fine-tuned on its train pairs and on adversarial ones that were crafted before
    pgd = "pgd"  # fine-tuned on its train pairs and on adversarial ones that are crafted in each step


class Modalities(StrEnum):
    """Which halves of a query are perturbed."""

    image = "image"
    text = "text"
    both = "both"


class NormName(StrEnum):
    """The norm that bounds delta."""

    linf = "linf"
    l2 = "l2"
    one_sided = "one_sided"  # entries in [0, epsilon], as CMLA's public code cuts them


class TextForm(StrEnum):
    """What may be done to an attacked text."""

    continuous = "continuous"  # every entry of its vector changes a little
    edits = "edits"  # whole words are added and removed


class SourceName(StrEnum):
    """Whose gradients an attack follows."""

    surrogate = "surrogate"
    target = "target"
    queries = "queries"  # nobody's: codes of changed items are asked for


class BankName(StrEnum):
    """Whose codes an attack ranks: the M queried pairs, or all that the target was trained on."""

    queried = "queried"
    train = "train"


class Stage(StrEnum):
    """What train.py trains."""

    target = "target"
    surrogate = "surrogate"


class LoggerName(StrEnum):
    """Where training curves go."""

    none = "none"
    csv = "csv"
    wandb = "wandb"
    wandb_offline = "wandb_offline"


class CheckpointFormat(StrEnum):
    """Whose files a checkpoint consists of."""

    dcmh = "dcmh"
    cpah = "cpah"
    dadh = "dadh"
    djsrh = "djsrh"
    jdsh = "jdsh"
    dgcpn = "dgcpn"
    ssah = "ssah"
    dchmt = "dchmt"
    mith = "mith"
    torchscript = "torchscript"
    onnx = "onnx"


class ConventionName(StrEnum):
    """How the network of a checkpoint wants its images."""

    own = "own"  # as its format says
    unit = "unit"  # [0, 1]
    signed = "signed"  # [-1, 1]
    imagenet = "imagenet"  # [0, 1], by mean and deviation of ImageNet
    clip = "clip"  # [0, 1], by those of CLIP
    levels = "levels"  # 0 to 255
    centred = "centred"  # 0 to 255, without the average image or the mean colour of ImageNet
    caffe = "caffe"  # likewise, BGR
