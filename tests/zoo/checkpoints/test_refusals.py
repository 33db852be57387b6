import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aach_lightning.errors import CheckpointError, ConfigError
from tests.security.test_checkpoints import Bomb, write_bomb
from tests.zoo.checkpoints.test_formats import method, opened
from tests.zoo.checkpoints.written import SIDE, cpah, dadh, dcmh, djsrh, save_script


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "image_model.pth", tmp_path / "text_model.pth"
    for content, path in zip(dcmh(), paths, strict=True):
        torch.save(content, path)
    return paths


def refused(message: str, *arguments: Any, kind: type[Exception] = CheckpointError, **changes: Any) -> None:
    with pytest.raises(kind, match=message):
        opened(method(*arguments, **changes))


def test_a_pickled_module_with_the_way_to_convert_it(files: tuple[Path, Path]) -> None:
    module = nn.Linear(2, 3)
    torch.save(module, files[0])
    with pytest.raises(CheckpointError) as caught:
        opened(method("dcmh", *files))
    recipe = re.findall(r"^  (.*)$", str(caught.value), re.MULTILINE)
    assert len(recipe) == 2
    space: dict[str, Any] = {"torch": torch}
    for line in recipe:
        exec(line, space)  # what a person would type
    converted = torch.load(files[0].with_suffix(".state.pth"), weights_only=True)
    assert torch.equal(converted["weight"], module.weight)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("name", ["dcmh", "djsrh", "cpah", "mith", "torchscript"])
def test_code_in_a_file_does_not_run(files: tuple[Path, Path], tmp_path: Path, name: str, form: str) -> None:
    canary = tmp_path / "ran"
    write_bomb(files[0], {"ImgNet": {"weight": torch.ones(2)}, "TxtNet": Bomb(canary)}, form)
    text = files[1] if name in ("dcmh", "torchscript") else None
    refused(re.escape(str(files[0])), name, files[0], text)
    assert not canary.exists()


def test_every_mismatch_is_listed(files: tuple[Path, Path]) -> None:
    image, _ = dcmh()
    image["features.5.bias"] = torch.zeros(3)
    image["classifier.bias"][2] = float("nan")
    image["other.weight"] = image.pop("features.9.bias")
    torch.save(image, files[0])
    with pytest.raises(CheckpointError) as caught:
        opened(method("dcmh", *files))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{files[0]} does not fit DCMHImage:"
    assert lines[1:] == [
        "  - missing: features.9.bias of shape (8,)",
        "  - not finite: classifier.bias holds NaN or infinity",
        "  - shape: features.5.bias has (3,), expected is (8,)",
        "  - unexpected: other.weight of shape (8,)",
    ]


def test_files_of_another_format(files: tuple[Path, Path], tmp_path: Path) -> None:
    refused(
        r"image_model\.pth must hold a dict with ImgNet and TxtNet, it holds \['classifier\.bias', ", "djsrh", files[0]
    )
    refused(r"has no features\.0\.weight, so it is a file of another format; it holds nothing", "dcmh", *files[::-1])
    both = tmp_path / "both.pth"
    torch.save(djsrh(), both)
    refused(r"both\.pth must hold a state dict .* it holds a dict with \['ImgNet', 'TxtNet'\]", "dcmh", both, files[1])
    torch.save({"ImgNet": djsrh()["ImgNet"], "TxtNet": 3}, both)
    refused(r"TxtNet, must hold a state dict .* it holds int", "djsrh", both)
    torch.save([1, 2], both)
    refused(r"it holds list", "djsrh", both)


def test_early_dadh_depends_on_its_batch(tmp_path: Path) -> None:
    state = {name: it for name, it in dadh().items() if "running" not in name and "num_b" not in name}
    torch.save(state, tmp_path / "file.pth")
    refused(r"early DADH without batch norm", "dadh", tmp_path / "file.pth")


def test_what_a_file_goes_without_has_to_be_given(tmp_path: Path) -> None:
    torch.save(cpah(), tmp_path / "file.pth")
    refused(r"weights_file=null: .* give the path of imagenet-vgg-f\.mat", "cpah", tmp_path / "file.pth")
    refused(r"weights_file=.*nowhere: there is no such file", "cpah", tmp_path / "file.pth", weights_file="nowhere")
    refused(r"text_file=null", "dcmh", tmp_path / "file.pth")


def test_sizes_that_the_data_do_not_have(files: tuple[Path, Path]) -> None:
    config = method("dcmh", *files)
    with pytest.raises(ConfigError) as caught:
        opened(config, bits=32, words=12)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "- target.code_length=32: the file has codes of 16 bits",
        "- the texts of the data have 12 entries, the text network reads 16",
    ]
    with pytest.raises(ConfigError, match=r"shape \(2, 3, 224, 224\); the format is made for data\.image_size=224"):
        opened(config, side=224)
    assert SIDE != 224


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_damaged_files(files: tuple[Path, Path], form: str) -> None:
    torch.save(dcmh()[0], files[0], _use_new_zipfile_serialization=form == "zip")
    whole = files[0].read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        files[0].write_bytes(whole[: int(len(whole) * share)])
        refused(re.escape(str(files[0])), "dcmh", *files)
    files[0].write_bytes(b"\xff" * 100)
    refused(re.escape(str(files[0])), "dcmh", *files)


def test_missing_and_too_large_files(files: tuple[Path, Path], tmp_path: Path) -> None:
    refused(r"target\.method\.image_file=.*nowhere: there is no such file", "dcmh", tmp_path / "nowhere", files[1])
    refused(r"image_file=.* there is no such file", "dcmh", tmp_path, files[1])
    with files[1].open("ab") as file:
        file.truncate(2**20 + 1)
    refused(r"text_file=.* has 1\.0 MiB, allowed are 1: .*largest_mib", "dcmh", *files, largest_mib=1)


def test_an_archive_that_unpacks_to_more_than_is_allowed(files: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(files[0], "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(2**21))
    assert files[0].stat().st_size < 2**20
    refused(r"image_file=.* has 2\.\d MiB, allowed are 1", "dcmh", *files, largest_mib=1)


def test_a_torchscript_archive_is_no_state_dict(files: tuple[Path, Path]) -> None:
    save_script(nn.Linear(2, 3), files[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused(re.escape(str(files[0])), "dcmh", *files)
    torch.save(dcmh()[0], files[0])
    refused(r"is no TorchScript archive, or damaged: .*torch\.jit\.trace", "torchscript", *files)
