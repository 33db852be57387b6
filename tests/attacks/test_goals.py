import pytest
import torch

from aach_lightning.attacks.goals import other_labels, voted_anchors, voted_code


def codes(count: int, bits: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, bits), generator=generator, dtype=torch.int8) * 2 - 1


def test_a_voted_code_is_nearest_to_all_that_voted() -> None:
    """Against all codes of 8 bits."""
    voters = codes(9, 8)
    every = torch.tensor([[1 if number >> bit & 1 else -1 for bit in range(8)] for number in range(256)])
    distances = [sum(int((code != voter).sum()) for voter in voters) for code in every]
    assert distances.count(min(distances)) == 1  # an odd number of votes has no ties
    assert voted_code(voters).tolist() == every[distances.index(min(distances))].tolist()


def test_many_votes_do_not_overflow_and_a_tie_is_positive() -> None:
    assert voted_code(torch.ones(300, 2, dtype=torch.int8)).tolist() == [1, 1]
    assert voted_code(-torch.ones(300, 2, dtype=torch.int8)).tolist() == [-1, -1]
    assert voted_code(torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)).tolist() == [1, 1]


def test_only_items_with_the_label_vote() -> None:
    labels = torch.zeros(30, 3, dtype=torch.uint8)
    labels[:5, 0] = 1
    labels[3:24, 1] = 1
    labels[29, 2] = 1
    found = codes(30, 16)
    anchors = voted_anchors(torch.tensor([0, 2, 0, 1]), found, labels, seed=0)
    assert (anchors.shape, anchors.dtype) == ((4, 16), torch.int8)
    naive = [1 if sum(int(found[row, bit]) for row in range(5)) >= 0 else -1 for bit in range(16)]
    assert anchors[0].tolist() == anchors[2].tolist() == naive
    assert anchors[1].tolist() == found[29].tolist()
    spoilt = found.clone()
    spoilt[labels[:, 1] == 0] *= -1
    assert torch.equal(voted_anchors(torch.tensor([1]), spoilt, labels, seed=0)[0], anchors[3])
    with pytest.raises(ValueError, match="no item has label 1"):
        voted_anchors(torch.tensor([1]), found[:3], labels[:3], seed=0)


def test_nine_of_many_vote_whom_the_seed_chooses() -> None:
    """Who voted shows in bits that one item each has set: a voter that is alone is outvoted, so vote by one."""
    labels, found = torch.ones(64, 1, dtype=torch.uint8), torch.eye(64, dtype=torch.int8) * 2 - 1
    chosen = {int(voted_anchors(torch.tensor([0]), found, labels, seed, voters=1)[0].argmax()) for seed in range(30)}
    assert len(chosen) > 15
    # with two voters a bit that one of them has set is a tie, and with three it is lost
    for voters, expected in ((2, 2), (3, 0)):
        anchor = voted_anchors(torch.tensor([0]), found, labels, 7, voters)
        assert int((anchor > 0).sum()) == expected


def test_an_item_is_sent_to_a_label_that_it_lacks() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(200, 6, generator=generator) < 0.3).to(torch.uint8)
    labels[0] = 1
    possible = torch.tensor([True, True, True, False, True, True])
    ids = torch.arange(200) * 3
    drawn = other_labels(labels, ids, possible, seed=1)
    for own, label in zip(labels.tolist(), drawn.tolist(), strict=True):
        assert own[label] == 0 or all(own[other] for other in (0, 1, 2, 4, 5))
    assert int(labels[torch.arange(200), drawn].sum()) < 5
    assert not bool((drawn == 3).any())
    assert set(drawn.tolist()) == {0, 1, 2, 4, 5}
    assert torch.equal(other_labels(labels[50:53], ids[50:53], possible, seed=1), drawn[50:53])
    assert not torch.equal(other_labels(labels, ids, possible, seed=2), drawn)
