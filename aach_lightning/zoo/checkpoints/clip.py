"""The two transformers of CLIP (Radford et al., ICML 2021) with the names of OpenAI's files, sizes as a file has them.

Read in public code: `visual.conv1` cuts patches, `class_embedding` comes first, `positional_embedding`, `ln_pre`,
`transformer.resblocks.*`, `ln_post` and `proj` follow; texts go through `token_embedding`, `positional_embedding`,
`transformer.resblocks.*` with a causal mask, `ln_final` and `text_projection`. A head has 64 entries. A block is
x + attention(ln_1 x), then x + c_proj(g(c_fc(ln_2 x))) with g(x) = x sigmoid(1.702 x). A text is what its last special
token becomes, which has the highest number; 0 fills up behind it.
"""

from typing import cast

import torch
from torch import Tensor, nn

from aach_lightning.errors import CheckpointError
from aach_lightning.networks.image_shape import check_image_shape
from aach_lightning.zoo.checkpoints.weights import Weights

_HEAD = 64


class Attention(nn.Module):
    """Self-attention with the names of torch.nn.MultiheadAttention, which has kernels that no CPU and GPU share.

    Args:
        width: Entries of a token, a multiple of 64.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, hidden: Tensor | None) -> Tensor:
        """Attend: N x L x D and, for each query, which keys it does not see, bool, broadcastable to N x 1 x L x L."""
        count, length, width = tokens.shape
        parts = nn.functional.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        query, key, value = parts.view(count, length, 3, -1, _HEAD).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / _HEAD**0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, -torch.inf)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(count, length, width)
        return cast(Tensor, self.out_proj(mixed))


class Block(nn.Module):
    """One residual block."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.attn = Attention(width)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, inner), "c_proj": nn.Linear(inner, width)})

    def forward(self, tokens: Tensor, hidden: Tensor | None) -> Tensor:
        """N x L x D -> the same."""
        tokens = tokens + self.attn(self.ln_1(tokens), hidden)
        inner = self.mlp["c_fc"](self.ln_2(tokens))
        return tokens + cast(Tensor, self.mlp["c_proj"](inner * torch.sigmoid(1.702 * inner)))


class Transformer(nn.Module):
    """Blocks one after the other, as many as a file has.

    Raises:
        CheckpointError: If there is none, or a width is no multiple of 64.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        inner, width = weights.shape("resblocks.0.mlp.c_fc.weight", 2)
        if width % _HEAD:
            raise CheckpointError(f"{weights.path}: {weights.prefix} is {width} wide, which is no multiple of {_HEAD}")
        self.resblocks = nn.ModuleList(Block(width, inner) for _ in weights.numbers("resblocks."))

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> Tensor:
        """N x L x D -> the same."""
        for block in self.resblocks:
            tokens = block(tokens, hidden)
        return tokens


class ClipImage(nn.Module):
    """The image transformer.

    Args:
        weights: What a file has below `visual.`.

    Shapes: images N x 3 x H x H -> tokens N x (1 + patches) x E, that of the whole image first.

    Raises:
        ValueError: In forward, if images have another size.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        width, channels, patch, _ = weights.shape("conv1.weight", 4)
        places = weights.shape("positional_embedding", 2)[0]
        self.conv1 = nn.Conv2d(channels, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(places, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(weights.below("transformer."))
        self.proj = nn.Parameter(torch.empty(width, weights.shape("proj", 2)[1]))
        self.image_size = patch * round((places - 1) ** 0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens of images."""
        check_image_shape(images, self.image_size, "CLIP")
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        whole = self.class_embedding.expand(len(images), 1, -1)
        tokens = self.ln_pre(torch.cat([whole, patches], dim=1) + self.positional_embedding)
        return cast(Tensor, self.ln_post(self.transformer(tokens)) @ self.proj)


class ClipText(nn.Module):
    """The text transformer.

    Args:
        weights: What a file has beside `visual.`.
        hides: Whether tokens that fill up are hidden from attention, too; else only what comes later is.

    Shapes: texts N x D, floats that are numbers of tokens, D at most the context length -> tokens N x D x E, and the
    numbers as int64.

    Raises:
        CheckpointError: In forward, if a text is no list of numbers of tokens, or too long.
    """

    def __init__(self, weights: Weights, hides: bool) -> None:
        super().__init__()
        self.vocabulary, width = weights.shape("token_embedding.weight", 2)
        self.context = weights.shape("positional_embedding", 2)[0]
        self.token_embedding = nn.Embedding(self.vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.empty(self.context, width))
        self.transformer = Transformer(weights.below("transformer."))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, weights.shape("text_projection", 2)[1]))
        self.hides = hides

    def forward(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of texts."""
        numbers = self.numbers(texts)
        length = numbers.shape[1]
        hidden = torch.ones(length, length, dtype=torch.bool, device=numbers.device).triu(1)
        if self.hides:
            hidden = hidden | self.filled(numbers)[:, None, None]
        tokens = self.token_embedding(numbers) + self.positional_embedding[:length]
        return self.ln_final(self.transformer(tokens, hidden)) @ self.text_projection, numbers

    def numbers(self, texts: Tensor) -> Tensor:
        """The numbers of tokens that a text vector holds, int64."""
        found = texts.detach().round().long()
        low, high = (int(found.min()), int(found.max())) if found.numel() else (0, 0)
        if not torch.equal(found.to(texts.dtype), texts) or low < 0 or high >= self.vocabulary:
            raise CheckpointError(
                f"texts of a CLIP target must be numbers of tokens, whole and in 0 to {self.vocabulary - 1}, padded "
                f"with 0, got values from {float(texts.min()):g} to {float(texts.max()):g}: tokenise captions first, "
                "and attack images only"
            )
        if texts.shape[1] > self.context:
            raise CheckpointError(f"texts may have {self.context} tokens at most, the data have {texts.shape[1]}")
        return found

    def filled(self, numbers: Tensor) -> Tensor:
        """Which tokens only fill up, bool, N x D; the first one never does, or nothing could be seen."""
        filled = numbers == 0
        filled[:, 0] = False
        return filled


def last_special(tokens: Tensor, numbers: Tensor) -> Tensor:
    """Of each text the token with the highest number, which ends it: N x D x E -> N x E."""
    return tokens[torch.arange(len(tokens), device=tokens.device), numbers.argmax(1)]


def build_clip(weights: Weights, hides: bool) -> tuple[ClipImage, ClipText]:
    """Both transformers of a file.

    Args:
        weights: Named as OpenAI's.
        hides: As in ClipText.

    Raises:
        CheckpointError: If they do not fit.
    """
    visual = weights.below("visual.")
    image = visual.build(lambda: ClipImage(visual))
    text = weights.build(lambda: ClipText(weights, hides), ("visual.", "logit_scale"))
    return image, text
