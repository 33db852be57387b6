"""Rules of `data`, checked before data are read."""

from pathlib import Path

from aach_lightning.config.data import (
    ContainerConfig,
    FolderConfig,
    MirFlickrConfig,
    NusWideConfig,
    OriginalConfig,
    ScenesConfig,
    SentencesConfig,
)
from aach_lightning.config.encoders import encoder_mistake
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig


def check_data(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `data`."""
    data, need = config.data, found.need
    need(data.image_size >= 16, "data.image_size", data.image_size, "must be at least 16 pixels")
    if isinstance(data, ScenesConfig):
        found.positive("data.pairs")
    if isinstance(data, FolderConfig):
        allowed = "must be an existing folder with a pairs.csv (id,image,text,labels)"
        need((Path(data.root) / "pairs.csv").is_file(), "data.root", data.root, allowed)
    if isinstance(data, OriginalConfig):
        need(Path(data.root).is_dir(), "data.root", data.root, "must be the folder in which the archives were unpacked")
    if isinstance(data, ContainerConfig):
        need(Path(data.path).exists(), "data.path", data.path, "must be an existing file, or a folder with the files")
        allowed = "must be the existing folder of the images that the pack lists, or null"
        need(data.images is None or Path(data.images).is_dir(), "data.images", data.images, allowed)
    if isinstance(data, MirFlickrConfig):
        found.positive("data.tag_images")
    if isinstance(data, NusWideConfig):
        need(1 <= data.labels <= 81, "data.labels", data.labels, "must lie in 1 to 81")
    if isinstance(data, SentencesConfig):
        found.positive("data.words")
        exists = data.vocabulary is None or Path(data.vocabulary).is_file()
        need(exists, "data.vocabulary", data.vocabulary, "must be an existing text file with one word a line, or null")
        beside = data.vocabulary is None or data.encoder is None
        need(beside, "data.vocabulary", data.vocabulary, "must be null beside data.encoder")
    if isinstance(data, SentencesConfig | MirFlickrConfig) and data.encoder is not None:
        mistake = encoder_mistake(data.encoder)
        need(mistake is None, "data.encoder", data.encoder, mistake or "")
