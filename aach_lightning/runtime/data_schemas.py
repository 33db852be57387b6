"""The typed configuration of the data sets, one class an option of conf/data."""

from dataclasses import dataclass

from omegaconf import MISSING

from aach_lightning.runtime.choices import OnDamaged


@dataclass
class DataConfig:
    """What every data set has."""

    _target_: str = MISSING
    name: str = MISSING
    image_size: int = MISSING  # height and width in pixels


@dataclass
class ScenesConfig(DataConfig):
    """data=scenes: drawn from a seed."""

    _target_: str = "aach_lightning.data.procedural.procedural_pairs"
    pairs: int = MISSING  # how many to draw
    seed: int = MISSING


@dataclass
class FolderConfig(DataConfig):
    """data=pairs: a folder with pairs.csv."""

    _target_: str = "aach_lightning.data.folder.folder_pairs"
    root: str = MISSING
    words: int = MISSING  # size of the vocabulary built from the texts
    vocabulary: str | None = None  # or a file with one word a line
    on_damaged: OnDamaged = OnDamaged.error


@dataclass
class ContainerConfig(DataConfig):
    """data=container: the .mat, .h5 and .npy packs in circulation."""

    _target_: str = "aach_lightning.data.containers.reader.container_pairs"
    path: str = MISSING  # one file, or the folder of all files of a pack
    images: str | None = None  # folder of the picture files that a pack lists; null for the folder of the pack
    words: int = MISSING  # size of the vocabulary where the texts are sentences
    vocabulary: str | None = None  # or a file with one word a line
    on_damaged: OnDamaged = OnDamaged.error


DATA_SCHEMAS: dict[str, type[DataConfig]] = {
    "scenes_schema": ScenesConfig,
    "pairs_schema": FolderConfig,
    "container_schema": ContainerConfig,
}
"""Name in the defaults lists of conf/data to schema."""
