import numpy as np
import pytest
import torch
from torch import Tensor

from aach_lightning.retrieval import codes as codes_module
from aach_lightning.retrieval.codes import as_words, pack_codes, pack_labels


def numpy_words(bits: np.ndarray) -> np.ndarray:
    width = bits.shape[1]
    padded = np.pad(bits, ((0, 0), (0, -width % 64)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.int64)


@pytest.mark.parametrize("code_length", [1, 7, 8, 63, 64, 65, 128, 1000, 1024])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32, torch.float64, torch.bfloat16])
def test_codes_become_the_bits_that_numpy_packs(code_length: int, dtype: torch.dtype) -> None:
    bits = np.random.default_rng(code_length).random((17, code_length)) < 0.5
    codes = torch.from_numpy(bits).to(dtype) * 2 - 1
    assert np.array_equal(pack_codes(codes).numpy(), numpy_words(bits))
    assert np.array_equal(pack_codes(torch.from_numpy(bits)).numpy(), numpy_words(bits))


@pytest.mark.parametrize("classes", [1, 24, 64, 65, 255])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.bool])
def test_labels_become_the_bits_that_numpy_packs(classes: int, dtype: torch.dtype) -> None:
    bits = np.random.default_rng(classes).random((9, classes)) < 0.3
    assert np.array_equal(pack_labels(torch.from_numpy(bits).to(dtype)).numpy(), numpy_words(bits))


@pytest.mark.parametrize("implementation", ["_pack_in_numpy", "_pack_in_torch"])
def test_packing_in_pieces_and_of_views_is_the_same(monkeypatch: pytest.MonkeyPatch, implementation: str) -> None:
    monkeypatch.setattr(codes_module, "_pack_in_numpy", getattr(codes_module, implementation))
    bits = np.random.default_rng(0).random((20, 140)) < 0.5
    view = torch.from_numpy(bits)[::2, 10:]
    monkeypatch.setattr(codes_module, "_PIECE", 130 * 3)
    assert np.array_equal(pack_codes(view.to(torch.int8) * 2 - 1).numpy(), numpy_words(bits[::2, 10:]))
    assert np.array_equal(pack_codes(view).numpy(), numpy_words(bits[::2, 10:]))


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        (torch.tensor([[1.0, float("nan")]]), ValueError, "found nan"),
        (torch.tensor([[1, 0]]), ValueError, r"codes must be -1 or \+1 .*found 0"),
        (torch.tensor([[0.9, -0.2]]), ValueError, "take the sign of relaxed codes first"),
        (torch.tensor([[-128, 1]], dtype=torch.int8), ValueError, "found -128"),
        (torch.ones(3, dtype=torch.int8), ValueError, r"must be N x K, got shape \(3,\)"),
        (torch.ones(3, 0), ValueError, "1 to 1024 bits, got 0"),
        (torch.ones(3, 1025), ValueError, "1 to 1024 bits, got 1025"),
        (torch.ones(3, 2, dtype=torch.complex64), TypeError, "complex64"),
        (np.ones((3, 2)), TypeError, "ndarray"),
    ],
)
def test_codes_that_are_not_binary_are_refused(codes: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pack_codes(codes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[1.0, float("nan")]]), "labels must be 0 or 1 .*found nan"),
        (torch.tensor([[1, -1]]), "found -1"),
        (torch.tensor([[2, 1]], dtype=torch.uint8), "found 2"),
        (torch.tensor([3, 1]), r"must be N x C, got shape \(2,\)"),
        (torch.ones(3, 0), "at least one class"),
    ],
)
def test_labels_that_are_not_multi_hot_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_labels(labels)


def test_no_rows_give_no_words() -> None:
    assert pack_codes(torch.ones(0, 65)).shape == (0, 2)


def test_bytes_and_unsigned_words_become_words() -> None:
    octets = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8, 9]], dtype=torch.uint8)
    assert as_words(octets).tolist() == [[int.from_bytes(bytes(range(1, 9)), "little"), 9]]
    assert as_words(torch.tensor([[2**63 + 1]], dtype=torch.uint64)).tolist() == [[-(2**63) + 1]]


@pytest.mark.parametrize(
    ("packed", "error", "message"),
    [
        (torch.ones(2, 2, dtype=torch.int32), TypeError, "uint8, int64 or uint64, got torch.int32"),
        (torch.ones(2, dtype=torch.int64), ValueError, r"got shape \(2,\)"),
        (torch.ones(2, 0, dtype=torch.uint8), ValueError, r"got shape \(2, 0\)"),
    ],
)
def test_other_packed_forms_are_refused(packed: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_words(packed)
