import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_array

from aach_lightning.config.schema import register_schemas
from aach_lightning.data.embeddings import sentence_embeddings
from aach_lightning.data.load import load_pairs
from aach_lightning.errors import ConfigError, DataError
from aach_lightning.readers.containers.axes import Axes
from aach_lightning.readers.containers.pixels import PixelArray, ReadPixels
from aach_lightning.runtime.run import checked_config

Array = NDArray[np.uint8]
CONF = Path(__file__).parents[3] / "conf"
COUNT, WIDTH = 20, 10
ORDERS = {  # of the axes as their author sees them: 0 pairs, 1 colours, 2 height, 3 width
    "NCHW": (0, 1, 2, 3),
    "NHWC": (0, 2, 3, 1),
    "HWCN": (2, 3, 1, 0),
    "CHWN": (1, 2, 3, 0),
}


@pytest.fixture
def square(pictures: Array) -> Array:
    """12 x 12 pictures, so that nothing is resized and every pixel can be compared."""
    return np.concatenate([pictures, pictures[..., -2:]], axis=3)


def bag_words(texts: Array) -> tuple[str, ...]:
    return tuple(" ".join(f"#{column}" for column, entry in enumerate(row) if entry) for row in texts)


# ---- layouts ----


@pytest.mark.parametrize("keys", [("images", "YAll", "LAll"), ("IAll", "TAll", "LAll"), ("imgs", "tags", "labels")])
@pytest.mark.parametrize("order", ORDERS)
def test_matlab_v73(
    tmp_path: Path, read_pack: Any, write_v73: Any, square: Array, texts: Array, labels: Array, keys: Any, order: str
) -> None:
    values = (square.transpose(ORDERS[order]), texts.astype(np.float64), labels)
    write_v73(tmp_path / "any name.bin", dict(zip(keys, values, strict=True)))
    assert (tmp_path / "any name.bin").read_bytes()[512:516] == b"\x89HDF"
    pairs = read_pack(tmp_path / "any name.bin")
    assert np.array_equal(pairs.images, square)
    assert np.array_equal(pairs.texts, texts)
    assert pairs.texts.dtype == np.uint8
    assert np.array_equal(pairs.labels, labels)
    assert (pairs.names[:2], pairs.text_low, pairs.text_high, pairs.note) == (("0", "1"), 0.0, 1.0, "")
    assert pairs.captions == bag_words(texts)


@pytest.mark.parametrize("order", ORDERS)
def test_plain_hdf5(tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, order: str) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "pack.h5", "w") as file:
        file["FAll"], file["YAll"], file["LAll"] = square.transpose(ORDERS[order]), texts.T, labels
    pairs = read_pack(tmp_path / "pack.h5")
    assert np.array_equal(pairs.images, square)
    assert np.array_equal(pairs.texts, texts)
    assert np.array_equal(pairs.labels, labels)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_matlab_5(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, order: str, compress: bool
) -> None:
    values = {"images": square.transpose(ORDERS[order]), "YAll": csc_array(texts.astype(float)), "LAll": labels.T}
    savemat(tmp_path / "pack.mat", values, do_compression=compress)
    for _ in range(2):  # built, then from the cache
        pairs = read_pack(tmp_path / "pack.mat")
        assert np.array_equal(pairs.images, square)
        assert np.array_equal(pairs.texts, texts)
        assert np.array_equal(pairs.labels, labels)
    assert not [path for path in (tmp_path / "cache").glob("*.unpacked*") if path.suffix != ".lock"]


def test_sparse_texts_of_matlab_v73(
    tmp_path: Path, read_pack: Any, write_v73: Any, square: Array, texts: Array, labels: Array
) -> None:
    write_v73(tmp_path / "pack.mat", {"images": square, "YAll": csc_array(texts.astype(float)), "LAll": labels})
    assert np.array_equal(read_pack(tmp_path / "pack.mat").texts, texts)


def test_three_files_of_two_formats(
    tmp_path: Path, read_pack: Any, write_v73: Any, square: Array, texts: Array, labels: Array
) -> None:
    folder = tmp_path / "pack"
    folder.mkdir()
    write_v73(folder / "mirflickr25k-iall.mat", {"IAll": square.transpose(2, 3, 1, 0)})
    savemat(folder / "mirflickr25k-yall.mat", {"YAll": texts})
    savemat(folder / "mirflickr25k-lall.mat", {"LAll": labels})
    pairs = read_pack(folder)
    assert np.array_equal(pairs.images, square)
    assert np.array_equal(pairs.texts, texts)
    assert np.array_equal(pairs.labels, labels)


@pytest.mark.parametrize("is_part", [True, False])
def test_a_pack_that_is_split(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, is_part: bool
) -> None:
    texts = (np.arange(COUNT)[:, None] >> np.arange(5) & 1).astype(np.uint8)  # every row another
    rows = {"te": range(4), "tr": range(6, 12) if is_part else range(4, 8), "db": range(4 if is_part else 8, COUNT)}
    save_parts(tmp_path / "pack.mat", rows, square, texts, labels)
    pairs = read_pack(tmp_path / "pack.mat")
    assert np.array_equal(pairs.images, square)  # with train inside the database, or between the two
    assert np.array_equal(pairs.texts, texts)
    assert np.array_equal(pairs.labels, labels)
    assert len(set(pairs.names)) == COUNT
    assert pairs.names[0] == "query-0"
    assert "query (4)" in pairs.note
    assert ("train" in pairs.note) is not is_part
    assert pairs.given is not None
    assert pairs.given.query.tolist() == list(rows["te"])
    assert pairs.given.train.tolist() == list(rows["tr"])
    assert pairs.given.database.tolist() == list(range(4, COUNT))  # train is searched too


def save_parts(path: Path, rows: dict[str, Any], images: Array, texts: Array, labels: Array) -> None:
    values = {}
    for split, part in rows.items():
        for role, array in (("I", images), ("T", texts), ("L", labels)):
            values[f"{role}_{split}"] = array[list(part)]
    savemat(path, values)


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ({"te": range(4), "tr": range(4, 20)}, (range(4), range(4, 20), range(4, 20))),
        ({"te": range(4), "db": range(4, 20)}, (range(4), (), range(4, 20))),
        ({"tr": range(4), "db": range(4, 20)}, None),
        ({"te": range(20)}, None),
    ],
)
def test_packs_with_fewer_parts(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, rows: Any, given: Any
) -> None:
    save_parts(tmp_path / "pack.mat", rows, square, texts, labels)
    found = read_pack(tmp_path / "pack.mat").given
    if given is None:
        assert found is None
    else:
        assert [part.tolist() for part in (found.query, found.train, found.database)] == [list(part) for part in given]


def test_pixels_tell_pairs_with_equal_text_and_labels_apart(
    tmp_path: Path, read_pack: Any, write_v73: Any, square: Array, texts: Array, labels: Array
) -> None:
    """Nothing but pixels differs within a class, and the train part names the database in another order."""
    texts, labels = np.repeat(texts[:4], 5, axis=0), np.repeat(labels[:4], 5, axis=0)
    train = [19, 6, 12, 5, 9, 7, 18, 4]
    for number, write in enumerate((savemat, write_v73)):
        values = {}
        for split, rows in (("te", range(4)), ("tr", train), ("db", range(4, COUNT))):
            for role, array in (("I", square), ("T", texts), ("L", labels)):
                values[f"{role}_{split}"] = array[list(rows)]
        write(tmp_path / f"{number}.mat", values)
        pairs = read_pack(tmp_path / f"{number}.mat")
        assert len(pairs) == COUNT
        assert pairs.given.train.tolist() == train
        assert np.array_equal(pairs.images[pairs.given.train], square[train])


def test_a_train_part_with_pictures_that_the_database_lacks(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array
) -> None:
    texts, labels = np.repeat(texts[:1], COUNT, axis=0), np.repeat(labels[:1], COUNT, axis=0)
    save_parts(tmp_path / "pack.mat", {"te": range(4), "tr": [4, 5], "db": range(5, COUNT)}, square, texts, labels)
    given = read_pack(tmp_path / "pack.mat").given
    assert given.train.tolist() == [4, 5]
    assert given.database.tolist() == list(range(4, 4 + 2 + 15))  # 5 is there twice: as a train and a database pair


def test_a_train_part_that_repeats_a_pair_which_the_database_has_once(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array
) -> None:
    texts = (np.arange(COUNT)[:, None] >> np.arange(5) & 1).astype(np.uint8)
    save_parts(tmp_path / "pack.mat", {"te": range(4), "tr": [7, 9, 7], "db": range(4, COUNT)}, square, texts, labels)
    pairs = read_pack(tmp_path / "pack.mat")
    assert len(pairs) == COUNT + 3  # not a part of the database: none of it may be lost
    assert pairs.given.train.tolist() == [4, 5, 6]
    assert len(pairs.given.database) == 16 + 3


def test_given_parts_without_damaged_rows(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array
) -> None:
    folder = tmp_path / "pack"
    names = save_jpegs(folder, square)
    rows = {"test": range(4), "train": [7, 9, 12, 6], "database": range(4, COUNT)}
    for split, part in rows.items():
        (folder / f"cm_{split}_imgs.txt").write_text("".join(f"{names[row]}\n" for row in part))
        np.save(folder / f"cm_{split}_tags.npy", texts[list(part)])
        np.save(folder / f"cm_{split}_labels.npy", labels[list(part)])
    for row in (1, 9, 15):
        (folder / names[row]).unlink()
    pairs = read_pack(folder, on_damaged="skip")
    assert pairs.names == tuple(name for row, name in enumerate(names) if row not in (1, 9, 15))
    assert [pairs.names[row] for row in pairs.given.query] == [names[row] for row in (0, 2, 3)]
    assert [pairs.names[row] for row in pairs.given.train] == [names[row] for row in (7, 12, 6)]
    kept = [names[row] for row in range(4, COUNT) if row not in (9, 15)]
    assert [pairs.names[row] for row in pairs.given.database] == kept


def save_jpegs(folder: Path, images: Array) -> list[str]:
    names = []
    for number, image in enumerate(images):
        names.append(f"mirflickr/im{number}.jpg")
        (folder / names[-1]).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / names[-1], quality=100, subsampling=0)
    return names


@pytest.mark.parametrize("version", ["5", "5 cells", "7.3"])
@pytest.mark.parametrize("label_key", ["label", "category"])
def test_lists_with_a_folder_of_jpegs(
    tmp_path: Path, read_pack: Any, write_v73: Any, square: Array, labels: Array, version: str, label_key: str
) -> None:
    names = save_jpegs(tmp_path / "photos", square)
    sentences = [f"a über dog{number}" for number in range(COUNT)]
    authors = [f"/datasets/author/{name}" for name in names]
    folder = tmp_path / "pack"
    folder.mkdir()
    for file, key, values in (("index", "index", authors), ("caption", "caption", sentences), ("l", label_key, labels)):
        if version == "7.3":
            write_v73(folder / f"{file}.mat", {key: values})
        else:
            cells = version == "5 cells" and isinstance(values, list)
            savemat(folder / f"{file}.mat", {key: np.array(values, dtype=object) if cells else values})
    pairs = read_pack(folder, images=str(tmp_path / "photos"), words=3)
    assert pairs.captions == tuple(sentences)
    assert pairs.words[:2] == ("a", "über")
    assert pairs.texts[:, :2].all()
    assert np.array_equal(pairs.labels, labels)
    assert np.abs(pairs.images.astype(int) - square).mean() < 2
    assert pairs.names == tuple(authors)


def test_strings_of_plain_hdf5(tmp_path: Path, read_pack: Any, square: Array, labels: Array) -> None:
    h5py = pytest.importorskip("h5py")
    folder = tmp_path / "pack"
    names = save_jpegs(folder, square)
    sentences = [f"a über dog{number}" for number in range(COUNT)]
    with h5py.File(folder / "pack.h5", "w") as file:
        file["index"], file["caption"], file["label"] = names, sentences, labels
    pairs = read_pack(folder / "pack.h5")
    assert pairs.captions == tuple(sentences)
    assert pairs.names == tuple(names)


def test_several_captions_of_an_image_give_the_first(
    tmp_path: Path, read_pack: Any, square: Array, labels: Array
) -> None:
    folder = tmp_path / "pack"
    names = save_jpegs(folder, square)
    captions = np.array([[f"first{row}", f"second {row}"] for row in range(COUNT)], dtype=object)
    savemat(folder / "all.mat", {"index": names, "caption": captions, "label": labels})
    assert read_pack(folder).captions == tuple(f"first{row}" for row in range(COUNT))


@pytest.mark.parametrize("texts_as", ["onehot.npy", "txts.txt"])
def test_text_lists(tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, texts_as: str) -> None:
    folder = tmp_path / "pack"
    names = save_jpegs(folder, square)
    for split, rows in (("test", range(5)), ("train", range(7, 11)), ("database", range(5, COUNT))):
        (folder / "readme.txt").write_bytes("größe".encode("latin-1"))  # not part of the pack
        (folder / f"cm_{split}_imgs.txt").write_text("".join(f"{names[row]}\n" for row in rows))
        lines = (" ".join(map(str, labels[row])) + "\n" for row in rows)
        (folder / f"cm_{split}_labels.txt").write_text("".join(lines))
        if texts_as.endswith("npy"):
            np.save(folder / f"cm_{split}_onehot.npy", texts[list(rows)])
        else:
            (folder / f"cm_{split}_txts.txt").write_text("".join(f"A cat, number {row}.\n" for row in rows))
    pairs = read_pack(folder, words=4)
    assert pairs.names == tuple(names)  # train lies in the database and is not there twice
    assert np.abs(pairs.images.astype(int) - square).mean() < 2
    assert np.array_equal(pairs.labels, labels)
    if texts_as.endswith("npy"):
        assert np.array_equal(pairs.texts, texts)
    else:
        assert pairs.captions[6] == "A cat, number 6."
        assert pairs.words[:3] == ("a", "cat", "number")


# ---- values ----


def test_transposed_pictures_are_set_upright(tmp_path: Path, read_pack: Any, square: Array, labels: Array) -> None:
    savemat(tmp_path / "pack.mat", {"images": square.transpose(0, 1, 3, 2), "tags": labels, "labels": labels})
    assert np.array_equal(read_pack(tmp_path / "pack.mat").images, square)


def test_other_sizes_are_resized(tmp_path: Path, read_pack: Any, pictures: Array, texts: Array, labels: Array) -> None:
    savemat(tmp_path / "pack.mat", {"images": pictures, "tags": texts, "labels": labels})
    pairs = read_pack(tmp_path / "pack.mat", image_size=6)
    assert pairs.images.shape == (COUNT, 3, 6, 6)
    # an average of 2 x 1.67 pixels is another filter, but the same picture
    rows = pictures.reshape(COUNT, 3, 6, 2, WIDTH).mean(axis=(3, 4))
    assert np.abs(pairs.images[:, :, :5].mean(axis=3) - rows[:, :, :5]).max() < 8


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_pixels_as_floats(tmp_path: Path, read_pack: Any, square: Array, labels: Array, scale: float) -> None:
    savemat(tmp_path / "pack.mat", {"images": (square * scale).astype(np.float32), "tags": labels, "labels": labels})
    assert np.array_equal(read_pack(tmp_path / "pack.mat").images, square)


def test_real_text_vectors_keep_their_range(tmp_path: Path, read_pack: Any, square: Array, labels: Array) -> None:
    vectors = np.random.default_rng(0).normal(size=(COUNT, 9))
    savemat(tmp_path / "pack.mat", {"images": square, "text": vectors, "labels": labels})
    pairs = read_pack(tmp_path / "pack.mat")
    assert np.allclose(pairs.texts, vectors)
    assert pairs.text_low == pytest.approx(vectors.min())
    assert pairs.text_high == pytest.approx(vectors.max())


def test_class_numbers_become_columns(tmp_path: Path, read_pack: Any, square: Array, texts: Array) -> None:
    numbers = np.arange(COUNT) % 3 + 1
    savemat(tmp_path / "pack.mat", {"images": square, "text": texts, "category": numbers[:, None]})
    assert read_pack(tmp_path / "pack.mat").labels.argmax(axis=1).tolist() == (numbers - 1).tolist()


def test_a_vocabulary_names_the_columns(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array
) -> None:
    savemat(tmp_path / "pack.mat", {"images": square, "tags": texts, "labels": labels})
    words = ("sky", "sea", "dog", "cat", "tree", "car", "boat")
    (tmp_path / "words.list").write_text("\n".join(words))
    pairs = read_pack(tmp_path / "pack.mat", vocabulary=str(tmp_path / "words.list"))
    assert pairs.words == words
    assert pairs.captions[0].split() == [word for word, entry in zip(words, texts[0], strict=True) if entry]
    (tmp_path / "words.list").write_text("sky\nsea")
    with pytest.raises(DataError, match="2 words for texts 7 wide"):
        read_pack(tmp_path / "pack.mat", vocabulary=str(tmp_path / "words.list"))


def test_sentences_as_embeddings(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, tiny_encoder: Path
) -> None:
    sentences = [f"a {('dog', 'cat', 'mat')[row % 3]} {'s' * (row % 2)}" for row in range(COUNT)]
    savemat(tmp_path / "pack.mat", {"images": square, "caption": np.array(sentences, dtype=object), "label": labels})
    pairs = read_pack(tmp_path / "pack.mat", encoder=str(tiny_encoder))
    expected = sentence_embeddings(sentences, str(tiny_encoder), tmp_path / "expected")
    np.testing.assert_allclose(pairs.texts, expected, atol=1e-6)
    assert (len(pairs.words), pairs.text_low, pairs.text_high) == (24, -1.0, 1.0)
    assert pairs.captions == tuple(text.strip() for text in sentences)
    assert read_pack(tmp_path / "pack.mat").texts.dtype == np.uint8


def test_vectors_need_no_encoder(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, tiny_encoder: Path
) -> None:
    savemat(tmp_path / "pack.mat", {"images": square, "tags": texts, "labels": labels})
    with pytest.raises(ConfigError, match=r"data\.encoder=.*tiny: must be null, the texts of .* are vectors already"):
        read_pack(tmp_path / "pack.mat", encoder=str(tiny_encoder))
    assert not list((tmp_path / "cache").glob("*.npy"))  # said before the images are converted


def test_another_process_reads_the_same(tmp_path: Path, write_v73: Any, square: Array) -> None:
    images = np.concatenate([square] * 8)  # several blocks, two arrays
    for number in range(2):
        write_v73(tmp_path / f"{number}.mat", {"images": images.transpose(2, 3, 1, 0)})
    arrays = tuple(PixelArray(tmp_path / f"{number}.mat", "images", Axes(3, 2), 160, 1.0) for number in range(2))
    read = ReadPixels(arrays, 12)
    assert np.array_equal(read(159), images[159])
    sent = pickle.loads(pickle.dumps(read))
    for row in (0, 63, 64, 159, 160, 200, 319, 5):
        assert np.array_equal(sent(row), images[row % 160])


def test_the_configuration_leads_here(tmp_path: Path, square: Array, texts: Array, labels: Array) -> None:
    savemat(tmp_path / "pack.mat", {"images": square, "tags": texts, "labels": labels})
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain = [f"paths.{name}={tmp_path / name}" for name in ("store", "cache", "output")]
        config = checked_config(compose("attack", ["data=container", f"data.path={tmp_path / 'pack.mat'}", *plain]))
        with pytest.raises(ConfigError, match=r"(?s)data\.path=nowhere.*data\.images=nowhere"):
            checked_config(compose("attack", ["data=container", "data.path=nowhere", "data.images=nowhere", *plain]))
    pairs = load_pairs(config.data, config.paths)
    assert pairs.images.shape == (COUNT, 3, 224, 224)
    assert np.array_equal(pairs.labels, labels)


def test_the_fingerprint_is_of_the_content(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array
) -> None:
    def fingerprint() -> str:
        savemat(tmp_path / "pack.mat", {"images": square, "tags": texts, "labels": labels})
        return str(read_pack(tmp_path / "pack.mat").fingerprint)

    first = fingerprint()
    status = (tmp_path / "pack.mat").stat()
    os.utime(tmp_path / "pack.mat", ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    assert read_pack(tmp_path / "pack.mat").fingerprint == first
    square[3, 0, 0, 0] ^= 1
    assert fingerprint() != first


def test_a_damaged_cache_is_built_anew(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array
) -> None:
    savemat(tmp_path / "pack.mat", {"images": square, "tags": texts, "labels": labels})
    read_pack(tmp_path / "pack.mat")
    (cached,) = (tmp_path / "cache").glob("*.npy")
    cached.write_bytes(cached.read_bytes()[:-100])
    assert np.array_equal(read_pack(tmp_path / "pack.mat").images, square)


# ---- bad input ----


def save(path: Path, **values: Any) -> Path:
    savemat(path, values)
    return path


def test_features_are_refused_with_the_reason(tmp_path: Path, read_pack: Any, texts: Array, labels: Array) -> None:
    path = save(tmp_path / "pack.mat", images=np.zeros((COUNT, 4096), np.float32), YAll=texts, LAll=labels)
    with pytest.raises(DataError, match=r"\(20, 4096\) is one vector an image: features .* not pixels"):
        read_pack(path)


def test_missing_keys_are_named_beside_those_found(tmp_path: Path, read_pack: Any, square: Array) -> None:
    path = save(tmp_path / "pack.mat", IAll=square, extra=np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"no texts and no labels .*IAll \(20, 3, 12, 12\), extra \(2, 3\)"):
        read_pack(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_texts_that_are_no_numbers(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, bad: float
) -> None:
    values = texts.astype(float)
    values[13, 2] = bad
    path = save(tmp_path / "pack.mat", images=square, YAll=values, LAll=labels)
    with pytest.raises(DataError, match=r"pack\.mat: YAll: row 13"):
        read_pack(path)


def test_labels_of_another_length(tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array) -> None:
    path = save(tmp_path / "pack.mat", images=square, YAll=texts, LAll=labels[:-1])
    with pytest.raises(DataError, match=r"agree on none: .*LAll \(19, 4\)"):
        read_pack(path)


@pytest.mark.parametrize(("value", "said"), [(2, "0.0 to 2.0"), (-1, "-1.0 to 1.0")])
def test_labels_other_than_0_and_1(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, value: int, said: str
) -> None:
    wrong = labels.astype(float)
    wrong[5, 1] = value
    path = save(tmp_path / "pack.mat", images=square, YAll=texts, LAll=wrong)
    with pytest.raises(DataError, match=f"labels must be 0 or 1, found {said}"):
        read_pack(path)


def test_no_labels_at_all(tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array) -> None:
    path = save(tmp_path / "pack.mat", images=square, YAll=texts, LAll=labels * 0)
    with pytest.raises(DataError, match="no pair has a label"):
        read_pack(path)


@pytest.mark.parametrize("shift", [-100.0, 100.0, np.nan])
def test_values_that_are_no_pixels(
    tmp_path: Path, read_pack: Any, square: Array, texts: Array, labels: Array, shift: float
) -> None:
    path = save(tmp_path / "pack.mat", images=square + shift, YAll=texts, LAll=labels)
    with pytest.raises(DataError, match="are no pixels"):
        read_pack(path)


def test_pickled_objects_are_refused(tmp_path: Path, read_pack: Any, square: Array) -> None:
    np.save(tmp_path / "tags.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"tags\.npy: refused: it holds pickled objects"):
        read_pack(tmp_path / "tags.npy")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("version", ["5", "7.3"])
def test_truncated_files(
    tmp_path: Path,
    read_pack: Any,
    write_v73: Any,
    square: Array,
    texts: Array,
    labels: Array,
    version: str,
    kept: float,
) -> None:
    path, values = tmp_path / "pack.mat", {"images": square, "YAll": texts, "LAll": labels}
    (savemat if version == "5" else write_v73)(path, values)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match=str(path)):
        read_pack(path)


def test_a_missing_path_and_another_kind_of_file(tmp_path: Path, read_pack: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.path="):
        read_pack(tmp_path / "nothing.mat")
    (tmp_path / "page.mat").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"page\.mat: neither HDF5"):
        read_pack(tmp_path / "page.mat")


def test_without_h5py(tmp_path: Path, read_pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pack.mat").write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"pip install 'aach-lightning\[containers\]'"):
        read_pack(tmp_path / "pack.mat")


def test_a_key_that_stands_twice(tmp_path: Path, read_pack: Any, labels: Array) -> None:
    for number in range(2):
        savemat(tmp_path / f"{number}.mat", {"LAll": labels})
    with pytest.raises(DataError, match="the key LAll stands in"):
        read_pack(tmp_path)


@pytest.mark.parametrize("name", ["../outside.jpg", "", "a/../../b.jpg"])
def test_listed_images_stay_in_their_folder(
    tmp_path: Path, read_pack: Any, square: Array, labels: Array, name: str
) -> None:
    folder = tmp_path / "pack"
    names = save_jpegs(folder, square)
    path = save(folder / "all.mat", index=[*names[:-1], name], caption=names, label=labels)
    with pytest.raises(DataError, match="no path of an image below"):
        read_pack(path)


def test_missing_listed_images_are_an_error_or_left_out(
    tmp_path: Path, read_pack: Any, square: Array, labels: Array
) -> None:
    folder = tmp_path / "pack"
    names = save_jpegs(folder, square)
    path = save(folder / "all.mat", index=names, caption=[f"word{row}" for row in range(COUNT)], label=labels)
    (folder / names[0]).unlink()
    (folder / names[4]).write_bytes((folder / names[4]).read_bytes()[:200])
    with pytest.raises(DataError, match=r"(?s)2 of 20 images .*on_damaged=skip") as caught:
        read_pack(path)
    assert names[0] in str(caught.value)
    pairs = read_pack(path, on_damaged="skip")
    assert (len(pairs), pairs.skipped) == (18, 2)
    assert pairs.names == tuple(name for row, name in enumerate(names) if row not in (0, 4))
    assert np.array_equal(pairs.labels, np.delete(labels, (0, 4), axis=0))
    assert pairs.captions[0] == "word1"
    shown = (pairs.batch([3]).images[0].numpy() * 255).round()
    assert np.abs(shown - square[5]).mean() < 2
