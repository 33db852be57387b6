import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("transformers", reason="needs the extra `clip`")

from safetensors.torch import load_file, save_file

from aach_lightning.config.target import EncoderConfig
from aach_lightning.errors import CheckpointError, ConfigError
from aach_lightning.networks.build import build_network
from aach_lightning.networks.clip_vision import CLIPVision
from aach_lightning.runtime.instantiate import instantiate
from tests.tiny_clip import SIDE, WIDTH, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


def published(folder: Path, images: torch.Tensor) -> torch.Tensor:
    """The library's own image tower, with the normalisation of OpenAI's processor."""
    from transformers import CLIPVisionModelWithProjection
    from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    tower = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    with torch.no_grad():
        embeddings: torch.Tensor = tower(pixel_values=(images - mean) / deviation).image_embeds
    return embeddings


def test_it_gives_the_embeddings_of_the_tower(folder: Path) -> None:
    backbone = CLIPVision(str(folder), image_size=SIDE).eval()
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    features = backbone(images)
    assert backbone.width == WIDTH
    assert features.shape == (3, WIDTH)
    assert float((features[0] - features[1]).detach().abs().max()) > 0.01
    torch.testing.assert_close(features.detach(), published(folder, images), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("side", [20, 45])
def test_other_sizes_are_resized_inside(folder: Path, side: int) -> None:
    backbone = CLIPVision(str(folder), image_size=side).eval()
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1), requires_grad=True)
    resized = F.interpolate(images, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True)
    features = backbone(images)
    torch.testing.assert_close(features.detach(), published(folder, resized.detach()), atol=1e-4, rtol=1e-3)
    features.square().sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().max()) > 0
    with pytest.raises(ValueError, match=f"CLIPVision was built for images of shape N x 3 x {side} x {side}"):
        backbone(torch.rand(1, 3, side + 1, side + 1))


def test_a_network_with_it_is_frozen_and_saved_whole(folder: Path) -> None:
    image = EncoderConfig({"_target_": "aach_lightning.networks.clip_vision.CLIPVision", "model": str(folder)}, True)
    text = EncoderConfig({"_target_": "aach_lightning.networks.text_identity.TextIdentity"})
    network = build_network(image, text, 8, SIDE, WIDTH, seed=0)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained
    assert not any("backbone" in name for name in trained)
    images, texts = network(torch.rand(2, 3, SIDE, SIDE), torch.rand(2, WIDTH))
    assert images.shape == texts.shape == (2, 8)
    again = build_network(image, text, 8, SIDE, WIDTH, seed=0)
    again.load_state_dict(network.state_dict(), strict=True)


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    def damaged(name: str) -> Path:
        return shutil.copytree(folder, tmp_path / name)

    bert = damaged("bert")
    (bert / "config.json").write_text(json.dumps({"model_type": "bert"}))
    pickled = damaged("pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    half = damaged("half")
    weights = load_file(half / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if "vision_model" not in k}, half / "model.safetensors", {"format": "pt"}
    )
    cut = damaged("cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:200])
    for place, kind, said in (
        (bert, ConfigError, "the folder holds no CLIP"),
        (tmp_path / "nothing/at/all", ConfigError, "must be an existing folder with a CLIP"),
        (pickled, ConfigError, r"holds no \.safetensors weights.*can run code"),
        (half, CheckpointError, "are not those of a whole CLIP"),
        (cut, CheckpointError, "cannot be loaded"),
    ):
        with pytest.raises(kind, match=f"(?s){said}") as caught:
            CLIPVision(str(place), image_size=SIDE)
        assert str(place) in str(caught.value)
        with pytest.raises(kind):
            instantiate(
                {"_target_": "aach_lightning.networks.clip_vision.CLIPVision", "model": str(place)}, image_size=SIDE
            )


def test_a_missing_package_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aach_lightning.config.encoders.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package transformers: pip install 'aach-lightning\[clip\]'"):
        CLIPVision(str(folder), image_size=SIDE)
