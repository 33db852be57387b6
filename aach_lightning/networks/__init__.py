"""Pure nn.Modules: image backbones, text encoders and the HashingNetwork made of them."""

from aach_lightning.networks.efficientnet_lite import EfficientNetLite
from aach_lightning.networks.hashing import Backbone, Encoder, HashHead, HashingNetwork, binary_codes
from aach_lightning.networks.small_cnn import SmallCNN
from aach_lightning.networks.text_identity import TextIdentity
from aach_lightning.networks.text_mlp import TextMLP

__all__ = [
    "Backbone",
    "EfficientNetLite",
    "Encoder",
    "HashHead",
    "HashingNetwork",
    "SmallCNN",
    "TextIdentity",
    "TextMLP",
    "binary_codes",
]
