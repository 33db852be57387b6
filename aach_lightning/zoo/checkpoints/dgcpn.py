"""DGCPN (Yu et al., AAAI 2021), as attacked in public code: one file, {"ImgNet": ..., "TxtNet": ...}, on features.

Read in public code of a targeted attack on it: both networks are `fc1`, ReLU, `fc_encode`, tanh(alpha h); alpha > 0 is
no part of the file, and no sign depends on it. The image network reads the 4096 features of CNN-F (cnn_f.py) with the
weights of `imagenet-vgg-f.mat`, from levels without its average image. The method's own repository was not there to be
read.
"""

from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.cnn_f import vgg_f_weights
from aach_lightning.zoo.checkpoints.dcmh import LEVELS_OF_MATLAB
from aach_lightning.zoo.checkpoints.djsrh import TwoLayers, read_parts
from aach_lightning.zoo.checkpoints.features import OnFeatures, build_backbone
from aach_lightning.zoo.checkpoints.files import CheckpointFiles
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves

_NAMES = ("fc1", "fc_encode")


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file and the backbone."""
    image, text = read_parts(files)
    head = image.build(lambda: TwoLayers(image, _NAMES))
    backbone, average = vgg_f_weights(files.weights_path())
    layers = build_backbone(backbone, padded=False)
    return Halves(
        image=OnFeatures(layers, method.feature_mean, method.feature_std, head),
        text=text.build(lambda: TwoLayers(text, _NAMES)),
        code_length=image.shape("fc_encode.weight", 2)[0],
        text_width=text.shape("fc1.weight", 2)[1],
        average=average,
    )


DGCPN = Format(
    title="DGCPN (Yu et al., AAAI 2021)",
    files="one: `{ImgNet, TxtNet}`; `imagenet-vgg-f.mat`",
    convention=LEVELS_OF_MATLAB,
    texts="bag of words",
    load=load,
    published={"MIRFlickr-25K": (0.723, 0.707), "NUS-WIDE": (0.614, 0.621), "MS-COCO": (0.590, 0.590)},
)
