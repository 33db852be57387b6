"""DCMH (Jiang and Li, CVPR 2017) in its PyTorch re-implementation: two state dicts.

Read in public code: `image_model.pth` holds `features.*` (CNN-F, see cnn_f.py) and `classifier`, `text_model.pth` two
convolutions as high as a text vector and as wide as one entry, which are linear layers with a ReLU between them.
Neither ends with an activation: the tanh that is added here changes no sign. Images are levels in [0, 255], RGB,
without the average image of `imagenet-vgg-f.mat`. That is no part of the file, and the code that tests a file leaves it
out, too: give it as `weights_file`, else the mean colour of ImageNet stands for it. An early version of that code
with VGG-19 in the place of CNN-F is not read.
"""

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.cnn_f import cnn_f_layers, vgg_f_weights
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS, Convention
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, read_weights
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves
from aach_lightning.zoo.checkpoints.weights import Weights

LEVELS_OF_MATLAB = Convention(scale=255.0, mean=CONVENTIONS[ConventionName.centred].mean, transposed=True)


class DCMHImage(nn.Module):
    """CNN-F and one linear layer."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.features = cnn_f_layers(weights.below("features."))
        code_length, width = weights.shape("classifier.weight", 2)
        self.classifier = nn.Linear(width, code_length)

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        return torch.tanh(self.classifier(self.features(images).flatten(1)))


class DCMHText(nn.Module):
    """Two layers that are stored as convolutions."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        hidden, _, width, _ = weights.shape("conv1.weight", 4)
        code_length = weights.shape("conv2.weight", 4)[0]
        self.conv1 = nn.Conv2d(1, hidden, (width, 1))
        self.conv2 = nn.Conv2d(hidden, code_length, 1)

    def forward(self, texts: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        return torch.tanh(self.conv2(self.conv1(texts[:, None, :, None]).relu()).flatten(1))


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read both files, and the average image where it is given."""
    image = read_weights("image", files.image, files.largest)
    text = read_weights("text", files.text_path(), files.largest)
    average = None if files.weights is None else vgg_f_weights(files.weights_path())[1]
    return Halves(
        image=image.build(lambda: DCMHImage(image)),
        text=text.build(lambda: DCMHText(text)),
        code_length=image.shape("classifier.weight", 2)[0],
        text_width=text.shape("conv1.weight", 4)[2],
        average=average,
    )


DCMH = Format(
    title="DCMH (Jiang and Li, CVPR 2017), PyTorch re-implementation",
    files="`image_model.pth`, `text_model.pth`; `imagenet-vgg-f.mat` for its average image",
    convention=LEVELS_OF_MATLAB,
    texts="bag of words",
    load=load,
    published={"MIRFlickr-25K": (0.746, 0.773), "NUS-WIDE": (0.593, 0.583), "MS-COCO": (0.501, 0.539)},
)
