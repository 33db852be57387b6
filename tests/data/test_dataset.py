import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aach_lightning.data.dataset import EpochShuffle, PairDataset, pair_loader
from aach_lightning.data.pairs import Pairs

INDICES = np.array([50, 3, 17, 4, 29, 8, 11])


def test_items_are_the_named_rows(toy_pairs: Pairs) -> None:
    dataset = PairDataset(toy_pairs, INDICES)
    assert len(dataset) == 7
    one, several = dataset[2], dataset.__getitems__([6, 0])
    assert one.ids.tolist() == [17]
    assert several.ids.tolist() == [11, 50]
    assert torch.equal((several.images * 255).round().byte(), torch.from_numpy(toy_pairs.images[[11, 50]]))


def test_features_belong_to_positions_and_texts_to_rows(toy_pairs: Pairs) -> None:
    dataset = PairDataset(toy_pairs, INDICES, torch.arange(7.0)[:, None])
    batch = dataset.__getitems__([6, 0])
    assert batch.images.tolist() == [[6.0], [0.0]]
    assert batch.ids.tolist() == [11, 50]
    assert torch.equal(batch.texts, torch.from_numpy(toy_pairs.texts[[11, 50]]).float())


def test_loader_gives_whole_batches_in_order(toy_pairs: Pairs) -> None:
    batches = list(pair_loader(PairDataset(toy_pairs, INDICES), 3))
    assert [batch.ids.tolist() for batch in batches] == [[50, 3, 17], [4, 29, 8], [11]]


def test_loader_follows_its_sampler_and_leaves_the_global_generator_alone(toy_pairs: Pairs) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    dataset, sampler = PairDataset(toy_pairs, INDICES), EpochShuffle(7, 1, 2)
    found = torch.cat([batch.ids for batch in pair_loader(dataset, 3, sampler)])
    assert found.tolist() == INDICES[list(sampler)].tolist()
    assert torch.equal(before, torch.random.get_rng_state())


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(0, 9), st.integers(0, 9))
def test_shuffle_is_a_permutation_fixed_by_seed_and_epoch(length: int, seed: int, epoch: int) -> None:
    torch.manual_seed(length)
    sampler = EpochShuffle(length, seed, epoch)
    first = list(sampler)
    torch.manual_seed(length + 1)
    assert first == list(sampler) == list(EpochShuffle(length, seed, epoch))
    assert sorted(first) == list(range(length))
    assert len(sampler) == length


def test_shuffles_of_seeds_and_epochs_differ() -> None:
    orders = {tuple(EpochShuffle(30, seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
