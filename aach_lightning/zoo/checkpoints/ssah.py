"""SSAH (Li et al., CVPR 2018) in a PyTorch re-implementation that attacks have used: one state dict of the whole model.

Read in public code: `img_net` is a ResNet without its classifier (`feature_layers.*`) and a convolution of one pixel
`fc` with a tanh; it takes mean and deviation of ImageNet off images in [0, 1] itself. `txt_net` slides windows of
several sizes over the text vector, each in steps of its own size (`ms_module.module_list.N.layers.0`, ReLU, mean over
all places), and goes through two layers with ReLU (`features.0` and `.2`) and one with a tanh (`hash_layers.0`). Label
network, decoders and discriminators only train. How its authors save it was not read: where it is the whole module, its
`state_dict` has these names. The method's own code is in TensorFlow.
"""

from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, read_weights
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves
from aach_lightning.zoo.checkpoints.resnet import resnet_layers
from aach_lightning.zoo.checkpoints.weights import Weights

_TRAINING = ("lab_net.", "img_decoder.", "txt_decoder.", "lab_decoder.")
_DISCRIMINATORS = ("il_dis_net.", "tl_dis_net.", "img_dis_net.", "txt_dis_net.")


class SSAHImage(nn.Module):
    """ResNet and one layer."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.feature_layers = resnet_layers(weights.below("feature_layers."))
        code_length, width = weights.shape("fc.weight", 4)[:2]
        self.fc = nn.Conv2d(width, code_length, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        return torch.tanh(self.fc(self.feature_layers(images)).flatten(1))


class SSAHText(nn.Module):
    """Windows over the text vector, then three layers."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        scales = []
        for number in weights.numbers("ms_module.module_list."):
            out, _, _, size = weights.shape(f"ms_module.module_list.{number}.layers.0.weight", 4)
            scales.append(nn.ModuleDict({"layers": nn.Sequential(nn.Conv2d(1, out, (1, size), (1, size)))}))
        self.ms_module = nn.ModuleDict({"module_list": nn.ModuleList(scales)})
        first, second, last = (weights.shape(f"{it}.weight", 4) for it in ("features.0", "features.2", "hash_layers.0"))
        self.features = nn.Sequential(
            *(nn.Conv2d(first[1], first[0], 1), nn.ReLU(), nn.Conv2d(second[1], second[0], 1), nn.ReLU())
        )
        self.hash_layers = nn.Sequential(nn.Conv2d(last[1], last[0], 1), nn.Tanh())

    def forward(self, texts: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        rows, scales = texts[:, None, None], cast(nn.ModuleList, self.ms_module["module_list"])
        windows = [cast(nn.ModuleDict, scale)["layers"](rows).relu().mean(3, keepdim=True) for scale in scales]
        return cast(Tensor, self.hash_layers(self.features(torch.cat(windows, dim=1))).flatten(1))


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file."""
    weights = read_weights("image", files.image, files.largest)
    weights.check_parts(("img_net.", "txt_net.", *_TRAINING, *_DISCRIMINATORS))
    image, text = weights.below("img_net."), weights.below("txt_net.")
    return Halves(
        image=image.build(lambda: SSAHImage(image)),
        text=text.build(lambda: SSAHText(text)),
        code_length=image.shape("fc.weight", 4)[0],
        text_width=None,
    )


SSAH = Format(
    title="SSAH (Li et al., CVPR 2018), PyTorch re-implementation on ResNet",
    files="one: state dict of the model",
    convention=CONVENTIONS[ConventionName.imagenet],
    texts="bag of words",
    load=load,
    published={"MIRFlickr-25K": (0.779, 0.789), "NUS-WIDE": (0.654, 0.665), "MS-COCO": (0.588, 0.582)},
    remark="published with CNN-F",
)
