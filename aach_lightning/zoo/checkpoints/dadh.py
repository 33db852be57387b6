"""DADH (Bai et al., ICMR 2020): one state dict of the generator, on CNN-F features, with or without the backbone.

Read in public code: `image_module.*` and `text_module.*` are three linear layers with batch norm and ReLU, with or
without dropout between them, which moves their places; `hash_module.image.0` and `hash_module.text.0` give the code
with a tanh. Older files have no batch norm but a classifier, and scale features by their norm over the whole batch, so
that the code of an item depends on its neighbours: they are refused. The image network reads 4096 features of CNN-F.
Where attacks use such a file, CNN-F is a part of it, `cnn_f.*` (inferred: named and padded as the one beside CPAH,
whose code was read), and the features go in as they are. The method's own code reads features from a pack and
standardises them by mean and deviation of that whole matrix, which no file holds: give both as `feature_mean` and
`feature_std`, and the backbone as `weights_file`.
"""

from aach_lightning.config.method import CheckpointConfig
from aach_lightning.errors import CheckpointError
from aach_lightning.zoo.checkpoints.cnn_f import vgg_f_weights
from aach_lightning.zoo.checkpoints.dcmh import LEVELS_OF_MATLAB
from aach_lightning.zoo.checkpoints.features import OnFeatures, build_backbone
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, read_weights
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.generator import read_generator
from aach_lightning.zoo.checkpoints.halves import Halves


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file, and the backbone where it holds none."""
    weights = read_weights("image", files.image, files.largest)
    if "image_module.1.running_mean" not in weights:
        weights.shape("image_module.0.weight", 2)
        raise CheckpointError(
            f"{files.image} is an early DADH without batch norm: there a code depends on the other items of its batch, "
            "so it is no code of an item"
        )
    image, text = read_generator(weights, ("image", "text"), ("cnn_f.", "classifier."))
    own = weights.below("cnn_f.")
    own = own.below(f"{next(iter(own.tensors), '').partition('.')[0]}.")
    average = None
    if files.weights is not None or not own.tensors:
        kept, average = vgg_f_weights(files.weights_path())
        own = own if own.tensors else kept
    layers = build_backbone(own, padded=True)
    return Halves(
        image=OnFeatures(layers, method.feature_mean, method.feature_std, image),
        text=text,
        code_length=weights.shape("hash_module.image.0.weight", 2)[0],
        text_width=weights.shape("text_module.0.weight", 2)[1],
        average=average,
    )


DADH = Format(
    title="DADH (Bai et al., ICMR 2020)",
    files="one: `DADH.pth` or `GEN_module.pth`; `imagenet-vgg-f.mat`",
    convention=LEVELS_OF_MATLAB,
    texts="bag of words",
    load=load,
    published={"MIRFlickr-25K": (0.803, 0.805), "NUS-WIDE": (0.674, 0.675), "MS-COCO": (0.646, 0.627)},
)
