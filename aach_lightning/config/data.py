"""The typed configuration of the data sets, one class an option of conf/data."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from aach_lightning.config.choices import OnDamaged


@dataclass
class DataConfig:
    """What every data set has."""

    _target_: str = MISSING
    name: str = MISSING
    image_size: int = MISSING  # height and width in pixels


@dataclass
class ScenesConfig(DataConfig):
    """data=scenes: drawn from a seed."""

    _target_: str = "aach_lightning.scenes.procedural.procedural_pairs"
    pairs: int = MISSING  # how many to draw
    seed: int = MISSING


@dataclass
class SentencesConfig(DataConfig):
    """What data sets have whose texts are sentences: each becomes a bag of words, or an embedding."""

    words: int = MISSING  # size of the vocabulary built from the texts
    vocabulary: str | None = None  # or a file with one word a line
    encoder: str | None = None  # minilm, a folder, or a name on the Hugging Face Hub; null for a bag of words


@dataclass
class FolderConfig(SentencesConfig):
    """data=pairs: a folder with pairs.csv."""

    _target_: str = "aach_lightning.data.folder.folder_pairs"
    root: str = MISSING
    on_damaged: OnDamaged = OnDamaged.error


@dataclass
class ContainerConfig(SentencesConfig):
    """data=container: the .mat, .h5 and .npy packs in circulation."""

    _target_: str = "aach_lightning.readers.containers.reader.container_pairs"
    path: str = MISSING  # one file, or the folder of all files of a pack
    images: str | None = None  # folder of the picture files that a pack lists; null for the folder of the pack
    on_damaged: OnDamaged = OnDamaged.error


@dataclass
class OriginalConfig(DataConfig):
    """What the data sets have that are read as their makers distribute them."""

    root: str = MISSING  # the folder in which the archives were unpacked
    on_damaged: OnDamaged = OnDamaged.error


@dataclass
class MirFlickrConfig(OriginalConfig):
    """data=mirflickr25k."""

    _target_: str = "aach_lightning.readers.original.mirflickr25k.mirflickr25k_pairs"
    tag_images: int = MISSING  # a tag is kept if at least so many images have it
    encoder: str | None = None  # minilm, a folder, or a name on the Hugging Face Hub; null for bags of tags


@dataclass
class NusWideConfig(OriginalConfig):
    """data=nuswide_tc21, data=nuswide_tc10."""

    _target_: str = "aach_lightning.readers.original.nuswide.nuswide_pairs"
    labels: int = MISSING  # the most frequent ones are kept


@dataclass
class CocoConfig(OriginalConfig, SentencesConfig):
    """data=mscoco."""

    _target_: str = "aach_lightning.readers.original.mscoco.mscoco_pairs"
    caption_seed: int = MISSING  # chooses one caption of each image


@dataclass
class CustomDataConfig(DataConfig):
    """data=custom: a reader of your own."""

    arguments: dict[str, Any] = field(default_factory=dict)  # of the function that _target_ names


DATA_SCHEMAS: dict[str, type[DataConfig]] = {
    "scenes_schema": ScenesConfig,
    "pairs_schema": FolderConfig,
    "container_schema": ContainerConfig,
    "mirflickr25k_schema": MirFlickrConfig,
    "nuswide_schema": NusWideConfig,
    "mscoco_schema": CocoConfig,
    "custom_schema": CustomDataConfig,
}
"""Name in the defaults lists of conf/data to schema."""
