"""Defences of a deployed network: images -> images, both in [0, 1], in front of its image half.

The output is exact, the gradient that of a differentiable stand-in where the defence itself has none or a useless one
(Athalye et al., ICML 2018): a network behind a defence is also what an attacker sees who knows it.
"""

from aach_lightning.networks.defences.bit_depth import BitDepth
from aach_lightning.networks.defences.defended import with_defence
from aach_lightning.networks.defences.jpeg import JPEG
from aach_lightning.networks.defences.median import MedianFilter
from aach_lightning.networks.defences.resize import RandomResize

__all__ = ["JPEG", "BitDepth", "MedianFilter", "RandomResize", "with_defence"]
