"""CLIPVision: the image tower of CLIP as a backbone."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aach_lightning.config.encoders import clip_mistake, is_clip
from aach_lightning.data.clip import load_clip
from aach_lightning.data.model_folder import model_folder, one_line
from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.networks.image_shape import check_image_shape

_KEY = "image_net.backbone.model"
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class CLIPVision(nn.Module):
    """The image tower of CLIP (Radford et al., ICML 2021) with its projection into the space shared with texts.

    Images of another size than the tower's are resized inside: bicubic, with antialiasing, held as a matrix because
    torch's own has no deterministic gradient on CUDA. Colours are normalised inside, as OpenAI's models were trained.

    Args:
        model: A folder as `save_pretrained` of `transformers.CLIPModel` writes it, or a name on the Hugging Face Hub,
            which is downloaded once. Weights must be safetensors. Needs the extra `clip`.
        image_size: Height and width of the images in pixels.

    Attributes:
        width: Entries of the shared space; 512 for ViT-B/32.

    Shapes: images N x 3 x image_size x image_size, float in [0, 1] -> N x width.

    Raises:
        ConfigError: If there is no such model or it is no CLIP, or the extra is missing.
        CheckpointError: If its weights are damaged or not whole.
        ValueError: In forward, if images have another shape.
    """

    resize: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, model: str, *, image_size: int) -> None:
        super().__init__()
        mistake = clip_mistake(model)
        if mistake:
            raise ConfigError(f"{_KEY}={model}: {mistake}")
        folder = model_folder(model, _KEY)
        if not is_clip(folder):
            raise ConfigError(f"{_KEY}={model}: {folder}/config.json is not that of a CLIP (model_type: clip)")
        if not any(folder.glob("*.safetensors")):
            raise ConfigError(
                f"{_KEY}={model}: {folder} holds no .safetensors weights. Weights of other kinds can run code when "
                f"they are loaded: load them once where you trust them and write them with save_pretrained"
            )
        try:
            loaded = load_clip(folder)
        except (CheckpointError, MemoryError):
            raise
        except Exception as error:  # a configuration and weights of any kind
            raise CheckpointError(f"{_KEY}={model}: {folder} cannot be loaded ({one_line(error)})") from error
        self.image_size = image_size
        self.width = int(loaded.projection_dim)
        self.tower, self.projection = loaded.vision_model, loaded.visual_projection
        side = int(loaded.config.vision_config.image_size)
        pixels = torch.eye(image_size)[None, None]
        matrix = F.interpolate(pixels, (side, image_size), mode="bicubic", align_corners=False, antialias=True)[0, 0]
        self.register_buffer("resize", matrix if side != image_size else torch.empty(0), persistent=False)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Features of images in [0, 1]: N x width."""
        check_image_shape(images, self.image_size, "CLIPVision")
        if len(self.resize):
            images = self.resize @ images @ self.resize.T
        pooled = self.tower(pixel_values=(images - self.mean) / self.deviation).pooler_output
        return cast(Tensor, self.projection(pooled))
