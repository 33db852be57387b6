"""The data sets, one class a reader; their names are the choices of `data`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import MISSING

from aach_lightning.config.choices import OnDamaged
from aach_lightning.config.encoders import encoder_mistake
from aach_lightning.config.option import POSITIVE, SEED, Limits, existing, option

TEXT_EPSILON = "${if_null:${oc.select:data.encoder,null},0.1,0.01}"
"""A share of a word's presence, or a step in each entry of an embedding (of length 1 in all)."""

_WITH_PAIRS = existing(
    "must be an existing folder with a pairs.csv (id,image,text,labels)", lambda root: (root / "pairs.csv").is_file()
)
_PACK = existing("must be an existing file, or a folder with the files")
_LISTED = existing("must be the existing folder of the images that the pack lists, or null", Path.is_dir)
_UNPACKED = existing("must be the folder in which the archives were unpacked", Path.is_dir)
_WORD_LIST = existing("must be an existing text file with one word a line, or null", Path.is_file)


@dataclass
class DataConfig:
    """What is retrieved."""

    marks: ClassVar[tuple[str, ...]] = ()  # one of these in a folder (or a file, by its ending) shows this form of data
    _target_: str = MISSING
    name: str = option(MISSING, "what results call the data set, and its row in the sizes of a protocol")
    image_size: int = option(224, "height and width", Limits(16, 4096, unit="pixels"))


@dataclass
class ScenesConfig(DataConfig):
    """Procedural pictures with tags. No file needed; not a benchmark."""

    _target_: str = "aach_lightning.scenes.procedural.procedural_pairs"
    name: str = "scenes"
    image_size: int = 96
    pairs: int = option(4000, "how many to draw", POSITIVE)
    seed: int = option(0, "of the drawing", SEED)


@dataclass
class DamagedConfig(DataConfig):
    """Pictures from files."""

    on_damaged: OnDamaged = option(OnDamaged.error, "what to do with a missing or damaged image")


@dataclass
class EncodedConfig(DataConfig):
    """Texts that are bags of words, or become embeddings."""

    encoder: str | None = option(
        None, "embeddings by minilm, a folder, or a name on the Hugging Face Hub; null: bags of words", encoder_mistake
    )


@dataclass
class SentencesConfig(EncodedConfig):
    """Texts that are sentences."""

    words: int = option(1000, "size of the vocabulary built from the texts", POSITIVE)
    vocabulary: str | None = option(None, "or a file with one word a line", _WORD_LIST)


@dataclass
class FolderConfig(SentencesConfig, DamagedConfig):
    """Your own data: a folder with pairs.csv (id, image, text, labels separated by |)."""

    marks: ClassVar[tuple[str, ...]] = ("pairs.csv",)
    _target_: str = "aach_lightning.data.folder.folder_pairs"
    name: str = "pairs"
    root: str = option(MISSING, "the folder", _WITH_PAIRS)


@dataclass
class ContainerConfig(SentencesConfig, DamagedConfig):
    """Packs in circulation: .mat (5 and v7.3), .h5, .npy and text lists, told apart by their keys and shapes."""

    marks: ClassVar[tuple[str, ...]] = ("*.mat", "*.h5", "*.hdf5", "*.npy", "*.txt")
    _target_: str = "aach_lightning.readers.containers.reader.container_pairs"
    name: str = "container"
    path: str = option(MISSING, "one file, or the folder of all files of a pack", _PACK)
    images: str | None = option(None, "folder of the picture files that a pack lists; null: the pack's", _LISTED)


@dataclass
class OriginalConfig(DamagedConfig):
    """What the data sets have that are read as their makers distribute them."""

    root: str = option(MISSING, "the folder in which the archives were unpacked", _UNPACKED)


@dataclass
class MirFlickrConfig(OriginalConfig, EncodedConfig):
    """MIRFlickr-25K: the official folders mirflickr/ and annotations/ in one folder."""

    marks: ClassVar[tuple[str, ...]] = ("mirflickr/meta", "meta/tags")
    _target_: str = "aach_lightning.readers.original.mirflickr25k.mirflickr25k_pairs"
    name: str = "mirflickr25k"
    tag_images: int = option(20, "a tag is kept if at least so many images have it", POSITIVE)


@dataclass
class NusWideConfig(OriginalConfig):
    """NUS-WIDE with its most frequent labels: the official lists and the photos in one folder."""

    marks: ClassVar[tuple[str, ...]] = ("ImageList/Imagelist.txt", "Imagelist.txt")
    _target_: str = "aach_lightning.readers.original.nuswide.nuswide_pairs"
    labels: int = option(MISSING, "the most frequent ones are kept", Limits(1, 81))


@dataclass
class CocoConfig(OriginalConfig, SentencesConfig):
    """MS-COCO 2014: the official folders annotations/, train2014/ and val2014/ in one folder; one caption an image."""

    marks: ClassVar[tuple[str, ...]] = ("annotations/instances_train2014.json",)
    _target_: str = "aach_lightning.readers.original.mscoco.mscoco_pairs"
    name: str = "mscoco"
    words: int = 2026
    caption_seed: int = option(0, "chooses one caption of each image", SEED)


@dataclass
class CustomDataConfig(DataConfig):
    """Your own function that gives Pairs, called with name=, image_size=, cache= and the arguments."""

    name: str = "custom"
    arguments: dict[str, Any] = option(dict, "of the function that _target_ names")


DATA: dict[str, Any] = {
    "scenes": ScenesConfig,
    "pairs": FolderConfig,
    "container": ContainerConfig,
    "mirflickr25k": MirFlickrConfig,
    "nuswide_tc10": NusWideConfig(name="nuswide_tc10", labels=10),
    "nuswide_tc21": NusWideConfig(name="nuswide_tc21", labels=21),
    "mscoco": CocoConfig,
    "custom": CustomDataConfig,
}
"""The choices of `data`: where a value differs, an object of a class."""
