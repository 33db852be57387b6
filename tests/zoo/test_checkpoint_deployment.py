import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aach_lightning import cli
from aach_lightning.config.schema import RunConfig
from aach_lightning.data.experiment import Experiment
from aach_lightning.data.pairs import Pairs
from aach_lightning.data.splits import Split, make_split
from aach_lightning.errors import CheckpointError
from aach_lightning.networks.defences import BitDepth
from aach_lightning.networks.hashing import binary_codes
from aach_lightning.runtime.store import Artifact, ArtifactStore
from aach_lightning.targets.access import open_target
from aach_lightning.targets.deployment import deployment_of, ensure_deployed, load_target
from aach_lightning.targets.index import CodeIndex, read_report
from aach_lightning.zoo.checkpoints.files import CheckpointFiles
from tests.zoo.checkpoints.written import dcmh

Build = Callable[..., tuple[Experiment, Artifact]]


@pytest.fixture
def pairs(toy_pairs: Pairs) -> Pairs:
    """The same pictures at the size for which the files are made."""
    return replace(toy_pairs, images=np.kron(toy_pairs.images, np.ones((2, 2), np.uint8)), fingerprint="64 pixels")


@pytest.fixture
def split(pairs: Pairs) -> Split:
    return make_split(len(pairs), 10, 40, seed=0)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "image_model.pth", tmp_path / "text_model.pth"
    for content, path in zip(dcmh(), paths, strict=True):
        torch.save(content, path)
    return paths


@pytest.fixture
def build(compose_toy: Callable[..., RunConfig], pairs: Pairs, split: Split, files: tuple[Path, Path]) -> Build:
    def built(*overrides: str, paths: tuple[Path, Path] = files) -> tuple[RunConfig, Artifact]:
        given = [f"target.method.image_file={paths[0]}", f"target.method.text_file={paths[1]}"]
        config = compose_toy("target=checkpoint", "target.method.format=dcmh", *given, "data.image_size=64", *overrides)
        here = Experiment(config, pairs, split, ArtifactStore(Path(config.paths.store)))
        return here, ensure_deployed(here)

    return built


def test_the_index_holds_the_codes_that_the_door_gives(build: Build, pairs: Pairs, files: tuple[Path, Path]) -> None:
    here, artifact = build()
    for path in files:
        path.unlink()  # the artifact needs them no longer
    network, index = load_target(here, artifact), CodeIndex.load(artifact.path)
    batch = pairs.batch(range(60))
    codes = binary_codes(network.hash_images(batch.images)), binary_codes(network.hash_texts(batch.texts))
    assert torch.equal(index.image_codes, codes[0])
    assert torch.equal(index.text_codes, codes[1])
    assert len(codes[0].unique(dim=0)) > 5
    black_box, door = open_target(here, artifact)
    assert torch.equal(black_box.query(batch.images[:5], batch.texts[:5])[0], codes[0][:5])
    assert torch.equal(door.text_codes(batch.texts), codes[1])
    assert read_report(artifact)["kept_epoch"] == 0


def test_equal_files_are_one_target_wherever_they_lie(build: Build, files: tuple[Path, Path], tmp_path: Path) -> None:
    here, first = build()
    (tmp_path / "elsewhere").mkdir()
    moved = tuple(Path(shutil.copy(path, tmp_path / "elsewhere" / f"other{path.name}")) for path in files)
    other, again = build(paths=(moved[0], moved[1]))
    assert (again.key, again.built) == (first.key, False)
    assert deployment_of(here).identity() == deployment_of(other).identity()
    for overrides in (("target.method.convention=levels",), ("target.method.transposed=false",)):
        assert build(*overrides)[1].key != first.key
    assert build("target.method.largest_mib=77")[1].key == first.key
    before = deployment_of(here).identity()
    torch.save(dcmh(seed=1)[0], files[0])
    assert build()[1].key != first.key
    assert deployment_of(here).identity() != before
    assert build(paths=(moved[0], moved[1]))[1].key == first.key


def test_the_identity_of_a_trained_target_is_its_configuration(toy_experiment: Callable[..., Experiment]) -> None:
    here = toy_experiment()
    assert deployment_of(here).identity() == asdict(here.config.target)


def test_a_defence_in_front_of_it(build: Build, pairs: Pairs) -> None:
    plain = CodeIndex.load(build()[1].path)
    here, artifact = build("target/defence=bit_depth", "target.defence.bits=1")
    index, network = CodeIndex.load(artifact.path), load_target(here, artifact)
    expected = binary_codes(network.hash_images(BitDepth(1)(pairs.batch(range(60)).images)))
    assert torch.equal(index.image_codes, expected)
    assert not torch.equal(index.image_codes, plain.image_codes)
    assert torch.equal(index.text_codes, plain.text_codes)


def test_files_that_change_while_they_are_read(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    original = CheckpointFiles.copy

    def copy(self: CheckpointFiles, folder: Path, digests: dict[str, str]) -> None:
        torch.save(dcmh(seed=2)[1], self.text_path())
        original(self, folder, digests)

    monkeypatch.setattr(CheckpointFiles, "copy", copy)
    with pytest.raises(CheckpointError, match=r"text_file=.* changed while it was read"):
        build()


def test_what_does_not_fit_leaves_nothing_behind(build: Build, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"target\.code_length=8: the file has codes of 16 bits"):
        build("target.code_length=8")
    assert not list((tmp_path / "store").glob("checkpoint/*/*.checkpoint"))


def test_a_result_depends_on_the_content_of_the_files(
    build: Build, pairs: Pairs, split: Split, files: tuple[Path, Path], tmp_path: Path
) -> None:
    here, _ = build()
    first = cli._depends_on(here, deployment_of(here))
    assert str(tmp_path) not in json.dumps(first)
    torch.save(dcmh(seed=3)[1], files[1])
    assert cli._depends_on(here, deployment_of(here)) != first


def test_digests_are_read_once(build: Build, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = build()
    found = deployment_of(here).identity()
    monkeypatch.setattr("aach_lightning.zoo.checkpoints.files.digest_file", None)
    assert deployment_of(here).identity() == found
