"""Keys, shapes and axis orders; whatever a pack looks like, the answer is right or a DataError."""

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from aach_lightning.errors import DataError
from aach_lightning.readers.containers.axes import Axes, choose_axes, is_transposed, possible_axes, roughness
from aach_lightning.readers.containers.files import open_variables
from aach_lightning.readers.containers.part_rows import read_labels, read_matrix, read_rows
from aach_lightning.readers.containers.reader import container_pairs
from aach_lightning.readers.containers.roles import Part, find_parts, read_key
from aach_lightning.readers.containers.variable import LoadedVariable

FLICKR = Path(__file__).parents[3].parent / "shared" / "data" / "flickr8k24"
KEYS = [
    "images",
    "IAll",
    "YAll",
    "TAll",
    "LAll",
    "label",
    "index",
    "caption",
    "I_tr",
    "L_tr",
    "T_tr",
    "T_db",
    "mean",
    "",
]
SIZES = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 4096])


def variable(values: NDArray[np.generic], key: str = "key") -> LoadedVariable:
    return LoadedVariable(Path("pack"), key, values)


# ---- keys ----


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("images", ("images", "")),
        ("IAll", ("images", "")),
        ("FAll", ("images", "")),
        ("I_te", ("images", "query")),
        ("cm_database_onehot", ("texts", "database")),
        ("cm_train_labels", ("labels", "train")),
        ("train-L", ("labels", "train")),
        ("Category", ("labels", "")),
        ("mirflickr25k-lall", ("labels", "")),
        ("label_names", None),
        ("images_mean", None),
        ("tr", None),
        ("images_tags", None),
        ("#refs#", None),
        ("", None),
    ],
)
def test_keys(key: str, meaning: tuple[str, str] | None) -> None:
    assert read_key(key) == meaning


def test_pixels_come_before_features_and_numbers_before_strings() -> None:
    found = {
        "FAll": np.zeros((5, 4096)),
        "IAll": np.zeros((5, 3, 8, 8)),
        "captions": np.array(["a"] * 5),
        "tags": np.zeros((5, 2)),
        "labels": np.zeros((5, 2)),
    }
    (part,) = find_parts({key: variable(values, key) for key, values in found.items()})
    assert (part.images.key, part.texts.key, part.labels.key) == ("IAll", "tags", "labels")


def test_two_keys_for_one_role() -> None:
    found = {key: variable(np.zeros((5, 2)), key) for key in ("images", "tags", "texts", "labels")}
    with pytest.raises(DataError, match="the keys tags, texts all stand for texts"):
        find_parts(found)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), st.lists(SIZES, max_size=5), max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_keys_and_shapes_give_an_error_or_parts_that_agree(shapes: dict[str, list[int]]) -> None:
    found = {key: variable(np.broadcast_to(np.uint8(1), shape), key) for key, shape in shapes.items()}
    try:
        parts = [read_rows(part) for part in find_parts(found)]
    except DataError as error:
        assert str(error)  # noqa: PT017  (either outcome is right)
        return
    assert parts
    for part in parts:
        count = len(part.labels)
        assert part.vectors is not None
        assert len(part.vectors) == count > 0
        assert count in (part.images.shape[0], part.images.shape[-1])
        assert 3 in part.images.shape


@given(
    count=st.integers(1, 7),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    order=st.sampled_from([(0, 1, 2, 3), (0, 2, 3, 1), (2, 3, 1, 0), (1, 2, 3, 0)]),
    turn=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_number_of_pairs_is_right_or_refused(
    count: int, height: int, width: int, order: tuple[int, ...], turn: bool
) -> None:
    images = variable(np.zeros([(count, 3, height, width)[axis] for axis in order], np.uint8))
    texts, labels = np.eye(count, 11, dtype=np.uint8), np.ones((count, 13), np.uint8)
    part = Part("", images, variable(texts.T if turn else texts), variable(labels))
    rows = read_rows(part)  # 11 and 13 columns differ from each other and from all sizes, so nothing is ambiguous
    assert rows.labels.shape == (count, 13)
    assert rows.vectors is not None
    assert np.array_equal(rows.vectors, texts)
    assert Axes(order.index(0), [axis for axis in order if axis].index(1)) in possible_axes(images)[count]


# ---- axes ----


@pytest.mark.parametrize("shape", [(20, 4096), (20, 3, 8), (20, 4, 8, 8), (8, 3, 8, 5, 1), (20,), ()])
def test_what_is_no_array_of_colour_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="features" if len(shape) == 2 else "no array of colour images"):
        possible_axes(variable(np.zeros(shape, np.uint8)))


def test_three_pixels_wide_is_told_from_three_colours_by_the_pixels() -> None:
    """6 x 3 x 40 x 3: colours first or last; only true neighbours are alike."""
    rng = np.random.default_rng(0)
    ramps = np.linspace(0, 200, 40)[None, :, None] + np.linspace(0, 20, 3)[None, None, :]
    images = (rng.uniform(0, 50, (6, 3, 1, 1)) + ramps[:, None]).astype(np.uint8)
    images[:, 1] //= 3  # colours differ a lot
    for channel, values in ((0, images), (2, images.transpose(0, 3, 2, 1))):
        data = variable(values)
        readings = possible_axes(data)[6]
        assert len(readings) == 2
        axes, reason = choose_axes(data, readings)
        assert axes.channel == channel
        assert ("N x C" if channel == 0 else "C (") in reason


def test_noise_is_no_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 3, 16, 16)).astype(np.uint8)
    assert roughness(noise.astype(float)) == pytest.approx(1, abs=0.02)  # neighbours as unlike as any
    assert is_transposed(noise.astype(float)) is None
    assert "do not look like pictures" in choose_axes(variable(noise), [Axes(0, 0)])[1]


@pytest.mark.skipif(not (FLICKR / "pairs.csv").is_file(), reason="the Flickr8k excerpt is not beside the repository")
def test_real_photos_are_told_from_transposed_ones() -> None:
    with (FLICKR / "pairs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row["image"] for row in csv.DictReader(file)][::32]
    photos = np.stack([np.asarray(Image.open(FLICKR / row).convert("RGB").resize((32, 32))) for row in rows])
    upright = photos.transpose(0, 3, 1, 2).astype(float)
    assert len(upright) == 249
    assert is_transposed(upright) is False
    assert is_transposed(upright.swapaxes(2, 3)) is True
    assert roughness(upright) < 0.9
    mixed = upright.reshape(len(upright), 3, -1)[:, :, np.random.default_rng(0).permutation(1024)]
    assert roughness(mixed.reshape(upright.shape)) > 0.9


# ---- matrices ----


@given(st.lists(st.integers(-3, 5), min_size=2, max_size=9))
@settings(max_examples=50, deadline=None)
def test_class_numbers(numbers: list[int]) -> None:
    marks = read_labels(variable(np.array(numbers, np.int16)), len(numbers))
    assert marks.sum(axis=1).tolist() == [1] * len(numbers)
    for first, mark in zip(numbers, marks, strict=True):
        assert [int(mark @ other) for other in marks] == [int(first == other) for other in numbers]


@pytest.mark.parametrize("late", [0, 4095, 4096, 5000])
def test_a_value_other_than_0_and_1_anywhere_keeps_all_values(late: int) -> None:
    values = (np.arange(5001)[:, None] % 2).repeat(2, axis=1).astype(np.float64)
    values[late, 1] = 0.25
    read = read_matrix(variable(values), 5001)
    assert read.dtype == np.float32
    assert np.array_equal(read, values)


def test_fractions_are_no_class_numbers() -> None:
    with pytest.raises(DataError, match="whole class numbers"):
        read_labels(variable(np.array([0.0, 1.5, 2.0])), 3)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="complex128, needed are real numbers"):
        read_matrix(variable(np.zeros((3, 2), complex)), 3)


# ---- damaged bytes ----


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 160))
@settings(max_examples=150, deadline=None)
def test_changed_and_cut_npy_files_give_an_error_or_an_array(place: int, value: int, cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        np.save(path, np.eye(6, 4, dtype=np.uint8))
        content = bytearray(path.read_bytes())
        if place < len(content):
            content[place] = value
        path.write_bytes(content[: len(content) - cut])
        try:
            (found,) = open_variables(path).values()
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017  (either outcome is right)
            return
        if found.is_text:
            assert found.strings() is not None
        else:
            assert found.rows(0, 0, 1).size <= max(1, int(np.prod(found.shape)))


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_cut_matlab_5_files_are_refused(kept: int, compress: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.mat"
        savemat(path, {"labels": np.eye(6, 4), "index": ["a.jpg", "b.jpg"]}, do_compression=compress)
        content = path.read_bytes()
        path.write_bytes(content[: kept % len(content)])
        try:
            found = open_variables(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017  (either outcome is right)
            return
        assert set(found) < {"labels", "index"}  # cut exactly between two variables


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"images": (2**31, 3, 4, 4), "tags": (2**31, 1000), "labels": (2**31, 4)}, "2,147,483,648 pairs, more than"),
        ({"images": (2**20, 3, 4, 4), "tags": (2**20, 2**16), "labels": (2**20, 4)}, "more than 2,147,483,648 entries"),
        ({"index": (2**27,), "tags": (2**27, 9), "labels": (2**27, 4)}, "more than 134,217,728 characters"),
    ],
)
def test_small_hdf5_files_that_claim_to_be_large(tmp_path: Path, shapes: dict[str, tuple[int, ...]], said: str) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "pack.h5", "w") as file:
        for key, shape in shapes.items():
            kind = h5py.string_dtype() if key == "index" else np.uint8
            file.create_dataset(key, shape=shape, dtype=kind, chunks=(1024, *shape[1:])[: len(shape)])
    assert (tmp_path / "pack.h5").stat().st_size < 10_000
    with pytest.raises(DataError, match=said):
        [read_rows(part) for part in find_parts(open_variables(tmp_path / "pack.h5"))]


def test_cells_that_claim_to_be_large(tmp_path: Path, write_v73: Any) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "pack.mat"
    write_v73(path, {"caption": ["a dog", "a cat"] * 30})
    with h5py.File(path, "r+") as file:
        inner = file["#refs#"]["caption0"]
        for level in range(3):  # to read all 60^4 strings would take half an hour
            cells = file["#refs#"].create_dataset(f"level{level}", shape=(1, 60), dtype=h5py.ref_dtype)
            cells[...] = inner.ref
            inner = cells
        file["caption"][...] = inner.ref
    assert open_variables(path)["caption"].strings() == ["a dog"] * 60
    with h5py.File(path, "r+") as file:
        long = file["#refs#"].create_dataset("long", shape=(2**31, 1), dtype=np.uint16, chunks=(1024, 1))
        file["caption"][0, 3] = long.ref
    with pytest.raises(DataError, match=r"pack\.mat: caption: cannot read it: more than [\d,]+ characters"):
        open_variables(path)["caption"].strings()
    with h5py.File(path, "r+") as file:
        loop = file["#refs#"]["level0"]
        loop[...] = loop.ref
        file["caption"][0, 2] = loop.ref
    with pytest.raises(DataError, match=r"pack\.mat: caption: cannot read it: cells nested deeper than 4"):
        open_variables(path)["caption"].strings()


def test_hdf5_chunks_that_would_fill_the_memory(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "pack.h5", "w") as file:
        file.create_dataset("labels", shape=(2**30 + 1, 2), dtype=np.uint8, chunks=(2**30 + 1, 1), compression="gzip")
    with pytest.raises(DataError, match="more than 1,073,741,824 bytes each"):
        open_variables(tmp_path / "pack.h5")["labels"].rows(0, 0, 1)


# ---- whole packs ----

ARRAYS = st.one_of(
    st.tuples(
        st.sampled_from([(5, 3, 6, 4), (6, 4, 3, 5), (3, 3, 3, 3), (5, 2), (2, 5), (5, 5), (5,), (1, 5), (3, 3), ()]),
        st.sampled_from(["u1", "i2", "f4", "f8", "b1", "c16"]),
        st.sampled_from([0, 1, 0.5, 7, -1, 300, np.nan]),
    ).map(
        lambda drawn: np.full(
            drawn[0], drawn[2] if drawn[1][0] in "fc" else int(np.nan_to_num(drawn[2])) % 128, drawn[1]
        )
    ),
    st.lists(st.text("ab/.\\ü ", max_size=6), min_size=1, max_size=5),
    st.just(np.array([np.array(["a", "b"], dtype=object), np.zeros(2), 3], dtype=object)),
    st.just({"a": 1}),
)


@given(
    st.dictionaries(st.sampled_from(["images", "index", "tags", "caption", "labels", "L_te", "T_te", "I_te"]), ARRAYS)
)
@settings(max_examples=100, deadline=None)
def test_any_pack_gives_an_error_or_pairs(variables: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        savemat(Path(folder) / "pack.mat", variables)
        try:
            pairs = container_pairs(
                name="pack",
                path=f"{folder}/pack.mat",
                images=None,
                image_size=16,
                words=5,
                vocabulary=None,
                encoder=None,
                on_damaged="skip",
                cache=f"{folder}/cache",
            )
        except DataError as error:
            assert str(error)  # noqa: PT017  (either outcome is right)
            return
        assert pairs.images.shape[1:] == (3, 16, 16)
        assert pairs.labels.any()
        assert np.isfinite(pairs.texts.astype(float)).all()
        assert set(variables) >= {"images", "labels"} or set(variables) >= {"I_te", "L_te", "T_te"}
