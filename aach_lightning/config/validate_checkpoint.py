"""Rules of `target.method` where it names files of somebody else."""

from math import inf

from aach_lightning.config.choices import CheckpointFormat, Modalities, SourceName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig

PAIRS = (CheckpointFormat.dcmh, CheckpointFormat.torchscript, CheckpointFormat.onnx)  # two files
TOKENS = (CheckpointFormat.dchmt, CheckpointFormat.mith)  # texts are numbers of tokens
BACKBONE = (CheckpointFormat.cpah, CheckpointFormat.dgcpn)  # never in the file
AVERAGE = (CheckpointFormat.dcmh, CheckpointFormat.dadh)  # may be given


def check_checkpoint(config: RunConfig, method: CheckpointConfig, found: Mistakes) -> None:
    """Note what is wrong with a target from files."""
    key, form, text, weights = "target.method", method.format, method.text_file, method.weights_file
    if form in PAIRS:
        found.need(text is not None, f"{key}.text_file", text, f"format={form} is two files, give the other one")
    else:
        found.need(text is None, f"{key}.text_file", text, f"format={form} is one file: must be null")
    if form in BACKBONE:
        allowed = f"format={form} reads features of CNN-F: must be the path of imagenet-vgg-f.mat"
        found.need(weights is not None, f"{key}.weights_file", weights, allowed)
    elif form not in AVERAGE:
        found.need(weights is None, f"{key}.weights_file", weights, f"format={form} has no use for it: must be null")
    found.positive(f"{key}.largest_mib", f"{key}.feature_std")
    mean = method.feature_mean
    found.need(-inf < mean < inf, f"{key}.feature_mean", mean, "must be finite")
    if form is CheckpointFormat.onnx:
        bound, source = config.evaluation.white_box, config.attack.source
        none = "an ONNX file has no gradients: choose"
        found.need(not bound, "evaluation.white_box", bound, f"{none} evaluation.white_box=false")
        found.need(
            source is not SourceName.target, "attack.source", source, f"{none} attack.source=surrogate or queries"
        )
    slope = config.attack.gradient.slope
    allowed = "networks from files give nothing before their tanh: must be 1 under attack.source=target"
    softened = config.attack.source is SourceName.target and slope != 1
    found.need(not softened, "attack.gradient.slope", slope, allowed)
    if form in TOKENS:
        modality = config.attack.modality
        allowed = f"texts of format={form} are numbers of tokens, which cannot change a little: choose image"
        found.need(modality is Modalities.image, "attack.modality", modality, allowed)
