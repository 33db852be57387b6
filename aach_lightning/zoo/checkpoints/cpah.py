"""CPAH (Xie et al., TIP 2020) in its PyTorch re-implementation: one state dict, `CPAH.pth`, on CNN-F features.

Read in public code: `image_module.*` and `text_module.*` are two linear layers with batch norm and ReLU;
`hash_module.img.0` and `hash_module.txt.0` give the code with a tanh. In training, features pass a mask first
(`mask_module.*`); codes are made without it, and so they are here. Masks, discriminators and classifiers are not read.
The image network reads 4096 features of CNN-F with the weights of `imagenet-vgg-f.mat` (cnn_f.py, the first pool padded
all around), from levels without its average image.
"""

from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.cnn_f import vgg_f_weights
from aach_lightning.zoo.checkpoints.dcmh import LEVELS_OF_MATLAB
from aach_lightning.zoo.checkpoints.features import OnFeatures, build_backbone
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, read_weights
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.generator import read_generator
from aach_lightning.zoo.checkpoints.halves import Halves

_TRAINING = ("mask_module.", "feature_dis.", "consistency_dis.", "classifier.")


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file and the backbone."""
    weights = read_weights("image", files.image, files.largest)
    image, text = read_generator(weights, ("img", "txt"), _TRAINING)
    backbone, average = vgg_f_weights(files.weights_path())
    layers = build_backbone(backbone, padded=True)
    return Halves(
        image=OnFeatures(layers, method.feature_mean, method.feature_std, image),
        text=text,
        code_length=weights.shape("hash_module.img.0.weight", 2)[0],
        text_width=weights.shape("text_module.0.weight", 2)[1],
        average=average,
    )


CPAH = Format(
    title="CPAH (Xie et al., TIP 2020), PyTorch re-implementation",
    files="one: `CPAH.pth`; `imagenet-vgg-f.mat`",
    convention=LEVELS_OF_MATLAB,
    texts="bag of words",
    load=load,
)
