"""DCHMT (Tu et al., ACM MM 2022): one state dict, CLIP with hash heads, `clip.*`, `image_hash.*` and `text_hash.*`.

Read in public code: a head is either one linear layer `fc` and tanh, or `fc`, ReLU and for each bit a linear layer
`hash_list.N` with two outputs, whose softmax gives the bit: +1 where the second one is greater. The relaxed code is the
difference of the two probabilities, which is tanh of half the difference of the outputs. Images: RGB in [0, 1], resized
to 224 x 224, by mean and deviation of CLIP. Texts: numbers of tokens of CLIP's tokeniser, 32 of them. Files of other
methods with the same parts and linear heads (DSPH) read likewise. Inferred: only the causal mask hides tokens, as in
later code by the same authors.
"""

from functools import partial

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.clip import ClipImage, ClipText, build_clip, last_special
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, read_weights
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves
from aach_lightning.zoo.checkpoints.weights import Weights


class HashHead(nn.Module):
    """A head of either kind, as the file has it."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        out, width = weights.shape("fc.weight", 2)
        self.fc = nn.Linear(width, out)
        self.hash_list = nn.ModuleList(nn.Linear(out, 2) for _ in weights.numbers("hash_list."))

    @property
    def code_length(self) -> int:
        """K."""
        return len(self.hash_list) or self.fc.out_features

    def forward(self, features: Tensor) -> Tensor:
        """Relaxed codes: N x E -> N x K."""
        found = self.fc(features)
        if len(self.hash_list):
            pairs = torch.stack([bit(found.relu()) for bit in self.hash_list], dim=1)
            found = (pairs[..., 1] - pairs[..., 0]) / 2
        return torch.tanh(found)


class DCHMTImage(nn.Module):
    """The image as a whole, hashed."""

    def __init__(self, clip: ClipImage, head: HashHead) -> None:
        super().__init__()
        self.clip, self.head = clip, head

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        codes: Tensor = self.head(self.clip(images)[:, 0])
        return codes


class DCHMTText(nn.Module):
    """The end of a text, hashed."""

    def __init__(self, clip: ClipText, head: HashHead) -> None:
        super().__init__()
        self.clip, self.head = clip, head

    def forward(self, texts: Tensor) -> Tensor:
        """Relaxed codes, N x K."""
        codes: Tensor = self.head(last_special(*self.clip(texts)))
        return codes


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file."""
    weights = read_weights("image", files.image, files.largest)
    weights.check_parts(("clip.", "image_hash.", "text_hash."))
    image, text = build_clip(weights.below("clip."), hides=False)
    parts = [weights.below(f"{side}_hash.") for side in ("image", "text")]
    heads = [part.build(partial(HashHead, part)) for part in parts]
    return Halves(DCHMTImage(image, heads[0]), DCHMTText(text, heads[1]), heads[0].code_length, None)


DCHMT = Format(
    title="DCHMT (Tu et al., ACM MM 2022)",
    files="one: state dict of the model",
    convention=CONVENTIONS[ConventionName.clip],
    texts="numbers of tokens, at most 77",
    load=load,
)
