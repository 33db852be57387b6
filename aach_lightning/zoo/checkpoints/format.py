"""What is known of a format: its files, its inputs, and what was published of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aach_lightning.config.method import CheckpointConfig
from aach_lightning.zoo.checkpoints.convention import Convention
from aach_lightning.zoo.checkpoints.files import CheckpointFiles
from aach_lightning.zoo.checkpoints.halves import Halves


@dataclass(frozen=True)
class Format:
    """One kind of checkpoint.

    Attributes:
        title: Method and publication.
        files: What `image_file` and `text_file` are called where they come from, and `weights_file` if there is one.
        convention: How the image network wants its images.
        texts: What the text network reads.
        load: Reads the files.
        image_size: Height and width that it was published for; None where any may be.
        published: MAP from image to text and from text to image at 32 bits, by data set.
        remark: On the published MAP.
    """

    title: str
    files: str
    convention: Convention
    texts: str
    load: Callable[[CheckpointFiles, CheckpointConfig], Halves]
    image_size: int | None = 224
    published: Mapping[str, tuple[float, float]] | None = None
    remark: str = ""

    def facts(self) -> dict[str, Any]:
        """Files, inputs and published MAP in words, for tables."""
        published = {name: f"{i2t:.3f} / {t2i:.3f}" for name, (i2t, t2i) in (self.published or {}).items()}
        size = "any size" if self.image_size is None else f"{self.image_size} x {self.image_size}"
        return {"files": self.files, "images": f"{self.convention}; {size}", "texts": self.texts, **published}
