"""Procedural image-text scenes: the data set that needs no file. Not a benchmark."""

from aach_lightning.scenes.dataset import NOTE, VERSION, Scenes

__all__ = ["NOTE", "VERSION", "Scenes"]
