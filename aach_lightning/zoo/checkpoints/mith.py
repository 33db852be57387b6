"""MITH (Liu et al., ACM MM 2023): one state dict, `model.pth`: CLIP below `clip.`, all that hashes below `hash.`.

Read in public code: a code is the sign of the sum of two. One comes from the whole image or the end of the text:
residual layers x + layer(ln x) with GELU (`gcl_i.mlp`), a linear layer without bias (`common_concept_embedding`), tanh;
it is shared by both sides and stored twice. The other one comes from all other tokens (`lct_i`, `lct_t`): each token
gives itself to those of the K concepts, in which it has positive values by the layers above, and to at most 8 of them;
a concept is the mean of its tokens, weighted by a softmax of these values, and zero without any; a sine for its place
is added; transformer blocks mix the concepts, and a linear layer for each bit with a tanh hashes its own. Tokens that
fill up and the end of a text are not counted, the former are hidden from attention as well. The 8 and the GELU are
options of that code at their defaults, and no part of a file. Images and texts are those of DCHMT.
"""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.config.choices import ConventionName
from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.clip import ClipImage, ClipText, Transformer, build_clip, last_special
from aach_lightning.zoo.checkpoints.convention import CONVENTIONS
from aach_lightning.zoo.checkpoints.files import CheckpointFiles, read_weights
from aach_lightning.zoo.checkpoints.format import Format
from aach_lightning.zoo.checkpoints.halves import Halves
from aach_lightning.zoo.checkpoints.weights import Weights

MOST_CONCEPTS = 8  # of a token


class Concepts(nn.Module):
    """Values of K concepts in features: ... x E -> ... x K in (-1, 1)."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        concepts, width = weights.shape("common_concept_embedding.weight", 2)
        self.mlp = nn.Module()
        numbers = weights.numbers("mlp.mlps.")
        inner = weights.shape("mlp.mlps.0.0.weight", 2)[0] if numbers else 0
        self.mlp.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Dropout(), nn.Linear(inner, width)) for _ in numbers
        )
        self.mlp.lns = nn.ModuleList(nn.LayerNorm(width) for _ in numbers)
        self.common_concept_embedding = nn.Linear(width, concepts, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Values of concepts."""
        for layer, norm in zip(cast(nn.ModuleList, self.mlp.mlps), cast(nn.ModuleList, self.mlp.lns), strict=True):
            features = features + layer(norm(features))
        return torch.tanh(self.common_concept_embedding(features))


class LocalConcepts(nn.Module):
    """Codes from tokens and their values of concepts."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        bits, _, width = weights.shape("position.pe", 3)
        self.position = nn.Module()
        self.position.register_buffer("pe", torch.empty(bits, 1, width))
        self.transformer = Transformer(weights.below("transformer."))
        self.hashing = nn.Module()
        self.hashing.fc_list = nn.ModuleList(nn.Linear(width, 1) for _ in weights.numbers("hashing.fc_list."))

    def forward(self, tokens: Tensor, values: Tensor, left_out: Tensor | None) -> Tensor:
        """Relaxed codes, N x K.

        Args:
            tokens: N x L x E.
            values: N x L x K.
            left_out: Which tokens do not count, bool, N x L; None where all do.
        """
        if left_out is not None:
            values = values.masked_fill(left_out[..., None], -torch.inf)
        least = values.topk(min(MOST_CONCEPTS, values.shape[2])).values[..., -1:]
        given = (values > 0) & (values >= least)
        weighted = torch.where(given, values, -torch.inf).softmax(1)
        shares = torch.where(given.any(1, keepdim=True), weighted, torch.zeros_like(weighted))
        concepts = shares.transpose(1, 2) @ tokens + cast(Tensor, self.position.pe)[:, 0]
        mixed = self.transformer(concepts)
        bits = cast(nn.ModuleList, self.hashing.fc_list)
        return torch.tanh(torch.cat([bit(mixed[:, place]) for place, bit in enumerate(bits)], dim=1))


class MITHImage(nn.Module):
    """Both codes of an image."""

    def __init__(self, clip: ClipImage, concepts: Concepts, local: LocalConcepts) -> None:
        super().__init__()
        self.clip, self.concepts, self.local = clip, concepts, local

    def forward(self, images: Tensor) -> Tensor:
        """Relaxed codes, N x K: half the sum."""
        tokens = self.clip(images)
        values = self.concepts(tokens)
        return cast(Tensor, (values[:, 0] + self.local(tokens[:, 1:], values[:, 1:], None)) / 2)


class MITHText(nn.Module):
    """Both codes of a text."""

    def __init__(self, clip: ClipText, concepts: Concepts, local: LocalConcepts) -> None:
        super().__init__()
        self.clip, self.concepts, self.local = clip, concepts, local

    def forward(self, texts: Tensor) -> Tensor:
        """Relaxed codes, N x K: half the sum."""
        tokens, numbers = self.clip(texts)
        whole = self.concepts(last_special(tokens, numbers))
        left_out = self.clip.filled(numbers) | (numbers == self.clip.vocabulary - 1)
        return cast(Tensor, (whole + self.local(tokens, self.concepts(tokens), left_out)) / 2)


def load(files: CheckpointFiles, method: CheckpointConfig) -> Halves:
    """Read the file."""
    weights = read_weights("image", files.image, files.largest)
    parts = tuple(f"hash.{part}_{side}." for part in ("gcl", "lct") for side in "it")
    weights.check_parts(("clip.", *parts, "hash.img_concept_proj.", "hash.txt_concept_proj."))
    image, text = build_clip(weights.below("clip."), hides=True)
    concepts, locals_ = [], []
    for side in "it":
        shared, own = weights.below(f"hash.gcl_{side}."), weights.below(f"hash.lct_{side}.")
        concepts.append(shared.build(partial(Concepts, shared)))
        locals_.append(own.build(partial(LocalConcepts, own)))
    return Halves(
        image=MITHImage(image, concepts[0], locals_[0]),
        text=MITHText(text, concepts[1], locals_[1]),
        code_length=concepts[0].common_concept_embedding.out_features,
        text_width=None,
    )


MITH = Format(
    title="MITH (Liu et al., ACM MM 2023)",
    files="one: `model.pth`",
    convention=CONVENTIONS[ConventionName.clip],
    texts="numbers of tokens, at most 77",
    load=load,
    published={"MIRFlickr-25K": (0.865, 0.839), "NUS-WIDE": (0.715, 0.728), "MS-COCO": (0.736, 0.736)},
)
