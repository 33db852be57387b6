from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_array

from aach_lightning.data.pairs import Pairs
from aach_lightning.readers.containers.reader import container_pairs
from tests.tiny_encoder import tiny_encoder, write_encoder

__all__ = ["tiny_encoder", "write_encoder"]

COUNT, HEIGHT, WIDTH, WORDS, CLASSES = 20, 12, 10, 7, 4

ReadPack = Callable[..., Pairs]
WriteV73 = Callable[[Path, dict[str, Any]], None]


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    """20 x 3 x 12 x 10: a smooth sky-to-ground ramp of its own colour each, brighter above, with a corner marked."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(180, 60, HEIGHT)[None, None, :, None] + np.linspace(0, 9, WIDTH)[None, None, None, :]
    images = ramp + rng.uniform(-40, 40, (COUNT, 3, 1, 1)) + rng.uniform(-4, 4, (COUNT, 1, 1, WIDTH))
    images[:, :, -1, 0] = 20
    return images.clip(0, 255).astype(np.uint8)


@pytest.fixture
def texts() -> NDArray[np.uint8]:
    return (np.random.default_rng(4).random((COUNT, WORDS)) < 0.4).astype(np.uint8)


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    marks = (np.random.default_rng(5).random((COUNT, CLASSES)) < 0.3).astype(np.uint8)
    marks[np.arange(COUNT), np.arange(COUNT) % CLASSES] = 1
    return marks


@pytest.fixture
def read_pack(tmp_path: Path) -> ReadPack:
    def read(path: Path, **changes: Any) -> Pairs:
        texts = {"words": 10, "vocabulary": None, "encoder": None}
        values = {"images": None, "image_size": 12, **texts, "on_damaged": "error", **changes}
        return container_pairs(name="pack", path=str(path), cache=str(tmp_path / "cache"), **values)

    return read


@pytest.fixture
def write_v73() -> WriteV73:
    """As MATLAB writes v7.3: 512 bytes of its own, axes reversed, a class on each array, cells by reference."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")

    def char(file: Any, where: Any, key: str, text: str) -> Any:
        data = where.create_dataset(key, data=np.frombuffer(text.encode("utf-16-le"), "<u2").reshape(-1, 1))
        data.attrs["MATLAB_class"] = np.bytes_("char")
        data.attrs["MATLAB_int_decode"] = np.int32(2)
        return data

    def write(path: Path, variables: dict[str, Any]) -> None:
        with h5py.File(path, "w", userblock_size=512) as file:
            hidden = file.create_group("#refs#")
            for key, value in variables.items():
                if isinstance(value, list):
                    cells = np.empty((1, len(value)), dtype=h5py.ref_dtype)
                    for number, text in enumerate(value):
                        cells[0, number] = char(file, hidden, f"{key}{number}", text).ref
                    file.create_dataset(key, data=cells, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
                elif isinstance(value, csc_array):
                    group = file.create_group(key)
                    group.attrs["MATLAB_class"] = np.bytes_("double")
                    group.attrs["MATLAB_sparse"] = np.uint64(value.shape[0])
                    group["data"], group["ir"], group["jc"] = value.data, value.indices, value.indptr
                else:
                    data = file.create_dataset(key, data=value.T, chunks=True, compression="gzip")
                    data.attrs["MATLAB_class"] = np.bytes_(value.dtype.name.replace("float64", "double"))
        header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2024 HDF5 schema 1.00 ."
        with path.open("r+b") as raw:
            raw.write(header.ljust(124) + bytes([0x00, 0x02]) + b"IM")

    return write
