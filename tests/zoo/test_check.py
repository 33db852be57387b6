import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.retrieval import mean_average_precision
from aach_lightning.runtime.store import ArtifactStore
from aach_lightning.targets.deployment import ensure_deployed
from aach_lightning.targets.index import CodeIndex
from aach_lightning.zoo.check import TargetCheck, check_target
from aach_lightning.zoo.checkpoints.convention import IMAGENET_COLOUR
from aach_lightning.zoo.checkpoints.opening import FORMATS
from aach_lightning.zoo.command import USAGE, main, show
from tests.zoo.checkpoints.written import save_script

# codes of red, green and blue: in each bit one of them differs
CLASSES = torch.tensor([[1.0, -1, -1, -1], [-1, 1, -1, 1], [-1, -1, 1, 1]]).repeat(1, 4)


def colour_network(words: int) -> tuple[nn.Module, nn.Module]:
    """Tells the classes of the toy pairs by their colour; made for levels without the mean colour of ImageNet."""
    image = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 16))
    text = nn.Sequential(nn.Linear(words, 16, bias=False))
    with torch.no_grad():
        image[2].weight.copy_(CLASSES.T)
        image[2].bias.copy_(CLASSES.T @ (torch.tensor(IMAGENET_COLOUR) - 106))
        text[0].weight.zero_()
        text[0].weight[:, :15].copy_(CLASSES.T.repeat_interleave(5, dim=1))
    return image, text


@pytest.fixture
def split(toy_pairs: Pairs) -> Split:
    return make_split(len(toy_pairs), 10, 40, seed=0)


@pytest.fixture
def checked(
    compose_toy: Callable[..., RunConfig], toy_pairs: Pairs, split: Split, tmp_path: Path
) -> Callable[..., tuple[TargetCheck, CodeIndex]]:
    def found(*overrides: str) -> tuple[TargetCheck, CodeIndex]:
        config = compose_toy(*overrides)
        here = Experiment(config, toy_pairs, split, ArtifactStore(Path(config.paths.store)))
        artifact = ensure_deployed(here)
        return check_target(here, artifact), CodeIndex.load(artifact.path)

    image, text = colour_network(len(toy_pairs.words))
    save_script(image, tmp_path / "image.pt")
    save_script(text, tmp_path / "text.pt")
    return found


def given(tmp_path: Path, convention: str) -> list[str]:
    files = [f"target.method.{name}_file={tmp_path / name}.pt" for name in ("image", "text")]
    return ["target=torchscript", *files, f"target.method.convention={convention}"]


def test_a_wrong_normalisation_is_noticed(
    checked: Callable[..., tuple[TargetCheck, CodeIndex]], toy_pairs: Pairs, split: Split, tmp_path: Path
) -> None:
    wrong, index = checked(*given(tmp_path, "unit"))
    # the bias of the network outweighs images in [0, 1], and hardly matters to levels
    assert wrong.better in ("target.method.convention=centred", "target.method.convention=levels")
    assert wrong.tried[wrong.better] > wrong.tried[""] + 0.2
    assert wrong.parameters == 3 * 16 + 16 + 16 * 16
    right, _ = checked(*given(tmp_path, wrong.better.rpartition("=")[2]))
    assert right.better is None
    assert right.tried[""] == wrong.tried[wrong.better]
    assert max(right.map.values()) > 0.9
    labels = torch.from_numpy(toy_pairs.labels)
    for name, (asking, searched) in {
        "i2t": (index.image_codes, index.text_codes),
        "t2i": (index.text_codes, index.image_codes),
    }.items():
        expected = mean_average_precision(
            asking[split.query], labels[split.query], searched[split.database], labels[split.database]
        )
        assert wrong.map[name] == expected
        assert wrong.tried[""] <= max(wrong.map.values())
    assert wrong.distinct_codes["image"] == len(np.unique(index.image_codes[split.database].numpy(), axis=0)) == 1
    assert wrong.bit_balance["image"] == 0
    shown = Console(record=True, width=200)
    show(wrong, "toy", shown)
    text = " ".join(shown.export_text().split())
    for said in ("parameters 320", "code length 16 bits", "image codes 1 distinct of 50", "10 queries, 50 searched"):
        assert said in text
    assert f"warning: with {wrong.better} the target retrieves much better" in text


def test_a_trained_target_has_no_conventions(checked: Callable[..., tuple[TargetCheck, CodeIndex]]) -> None:
    found, _ = checked()
    assert found.form is None
    assert found.tried == {}
    assert found.better is None
    assert found.parameters is not None
    assert found.parameters > 1000


def test_published_values_stand_beside_those_measured() -> None:
    form = FORMATS["dcmh"]  # type: ignore[index]
    shown = Console(record=True, width=200)
    maps = {"i2t": 0.7123, "t2i": 0.7456}
    show(TargetCheck(form, None, 32, maps, 0.55, 9, 90, {"image": 0.4}, {"image": 80}), "mirflickr25k", shown)
    text = " ".join(shown.export_text().split())
    assert "MAP mirflickr25k, here MIRFlickr-25K NUS-WIDE MS-COCO chance" in text
    assert "image→text 0.712 0.746 0.593 0.501 0.550" in text
    assert "text→image 0.746 0.773 0.583 0.539 0.550" in text


def test_another_word_than_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["targets", "look"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert USAGE in capsys.readouterr().err
