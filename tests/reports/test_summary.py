import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aach_lightning.errors import ConfigError
from aach_lightning.evaluation.result import Result
from aach_lightning.reports.aggregate import half_width
from aach_lightning.reports.frame import flatten
from aach_lightning.reports.naming import block_keys, replicate_keys
from aach_lightning.reports.summary import summarise
from tests.reports.conftest import frame_of

Make = Callable[..., Result]
T = {1: 12.706205, 2: 4.302653, 3: 3.182446, 4: 2.776445, 9: 2.262157, 29: 2.045230}  # 0.975 quantiles, from a table


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    mean = statistics.fmean(values)
    half = T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def cell(summary: pd.DataFrame, **where: Any) -> pd.Series:  # type: ignore[type-arg]
    """The only row in which columns have these values."""
    found = summary
    for name, value in where.items():
        found = found[found[name].isna() if value is None else found[name] == value]
    assert len(found) == 1, (where, found)
    return found.iloc[0]


def same(row: "pd.Series[Any]", n: int, mean: float, low: float, high: float) -> bool:
    assert row["n"] == n
    np.testing.assert_allclose([row["mean"], row["low"], row["high"]], [mean, low, high], rtol=1e-6, atol=1e-6)
    return True


def test_means_and_intervals_over_seeds(run: Make) -> None:
    rng = np.random.default_rng(0)
    maps = {
        (direction, pairs, eps, seed): float(rng.uniform(0.2, 0.7))
        for direction in ("I2T", "T2I")
        for pairs, eps, seed in itertools.product((20, 40), (4.0, 8.0), range(4))
    }
    results = [
        run(
            {f"{direction} attack": maps[direction, pairs, eps, seed] for direction in ("I2T", "T2I")},
            seed=seed,
            budget__pairs=pairs,
            attack__epsilon=eps,
            attack__text_epsilon=eps / 80,
        )
        for pairs, eps, seed in itertools.product((20, 40), (4.0, 8.0), range(4))
    ]
    summary = summarise(frame_of(results))
    assert set(summary["query"]) == {"attack", "chance"}
    for direction, pairs, eps in itertools.product(("I2T", "T2I"), (20, 40), (4.0, 8.0)):
        where = {"direction": direction, "query": "attack", "budget_pairs": pairs}
        found = cell(summary, **where, epsilon=eps if direction == "I2T" else eps / 80)
        assert same(found, 4, *interval([maps[direction, pairs, eps, seed] for seed in range(4)]))
    assert set(summary["block"]) == {""}


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_half_width_against_a_table(n: int) -> None:
    assert half_width([0.1], [n])[0] == pytest.approx(T[n - 1] * 0.1 / math.sqrt(n), rel=1e-6)


def test_no_interval_from_one_seed(run: Make) -> None:
    summary = summarise(frame_of([run()]))
    assert (summary["n"] == 1).all()
    assert summary[["low", "high"]].isna().all(axis=None)
    assert cell(summary, query="attack")["mean"] == 0.5
    assert np.isnan(half_width([0.1, 0.1], [1, 0])).all()


def test_missing_combinations_have_a_row_without_a_mean(run: Make) -> None:
    points = [(20, 4.0, 0), (20, 4.0, 1), (20, 8.0, 0), (40, 4.0, 0)]
    results = [
        run({"I2T clean": 0.8, "I2T attack": 0.4 + seed / 10}, seed=seed, budget__pairs=pairs, attack__epsilon=eps)
        for pairs, eps, seed in points
    ]
    attack = summarise(frame_of(results)).query("query == 'attack'")
    found = {(row.budget_pairs, row.epsilon): row.n for row in attack.itertuples()}
    assert found == {(20, 4.0): 2, (20, 8.0): 1, (40, 4.0): 1, (40, 8.0): 0}
    assert pd.isna(cell(attack, budget_pairs=40, epsilon=8.0)["mean"])
    assert same(cell(attack, budget_pairs=20, epsilon=4.0), 2, *interval([0.4, 0.5]))


def test_a_combination_that_one_block_lacks_entirely(run: Make) -> None:
    results = [run(budget__pairs=20), run(budget__pairs=40), run(budget__pairs=20, target__name="ssah")]
    attack = summarise(frame_of(results)).query("query == 'attack'")
    assert cell(attack, block="target.name=ssah", budget_pairs=40)["n"] == 0
    assert cell(attack, block="target.name=dcmh", budget_pairs=40)["n"] == 1


def test_references_over_all_budgets_count_a_seed_once(run: Make) -> None:
    white = {(0, 20): 0.30, (0, 40): 0.34, (1, 20): 0.20, (1, 40): 0.30, (2, 20): 0.25}
    results = [
        run({"I2T clean": 0.8, "I2T attack": 0.5, "I2T white_box": value}, seed=seed, budget__pairs=pairs)
        for (seed, pairs), value in white.items()
    ]
    summary = summarise(frame_of(results))
    by_seed = [0.32, 0.25, 0.25]
    assert same(cell(summary, query="white_box", budget_pairs=None), 3, *interval(by_seed))
    assert same(cell(summary, query="white_box", budget_pairs=40), 2, *interval([0.34, 0.30]))
    clean, chance = (cell(summary, query=query, budget_pairs=None) for query in ("clean", "chance"))
    assert same(clean, 3, 0.8, 0.8, 0.8)
    assert same(chance, 3, 0.25, 0.25, 0.25)
    assert not ((summary["query"] == "attack") & summary["budget_pairs"].isna()).any()


def test_runs_that_differ_in_the_other_epsilon_are_one_replicate(run: Make) -> None:
    maps = {0: 0.4, 1: 0.5, 2: 0.7}
    results = [
        run({"T2I clean": 0.8, "T2I attack": value}, seed=seed, attack__epsilon=eps)
        for seed, value in maps.items()
        for eps in (4.0, 8.0, 16.0)
    ]
    summary = summarise(frame_of(results))
    assert set(summary["epsilon"]) == {0.1}
    assert same(cell(summary, query="attack"), 3, *interval([0.4, 0.5, 0.7]))


def test_keys_without_influence_make_no_blocks(run: Make) -> None:
    results = [
        run(seed=0, logger__name="csv", evaluation__picture_rows=4, attack__modality="both"),
        run(seed=1, logger__name="none", evaluation__picture_rows=2, attack__modality="image"),
    ]
    summary = summarise(frame_of(results))
    assert set(summary["block"]) == {""}
    assert cell(summary, query="attack")["n"] == 2


def test_what_else_varies_makes_blocks(run: Make) -> None:
    rank = {"_target_": "aach_lightning.mining.miners.RankMiner", "nearest": 0.1, "farthest": 0.5}
    results = [
        run({"I2T attack": number}, seed=seed, attack__step_size=size, **({"mining": mining} if mining else {}))
        for seed in (0, 1)
        for mining, size, number in (
            (None, 0.1, 0.1 + seed),
            (None, 1.0, 0.2 + seed),
            (rank, 0.1, 0.3 + seed),
            (rank, 1.0, 0.4 + seed),
        )
    ]
    summary = summarise(frame_of(results))
    expected = {
        "mining=GapMiner, attack.step_size=0.1": 0.6,
        "mining=GapMiner, attack.step_size=1": 0.7,
        "mining=RankMiner, attack.step_size=0.1": 0.8,
        "mining=RankMiner, attack.step_size=1": 0.9,
    }
    assert list(dict.fromkeys(summary["block"])) == list(expected)
    for block, mean in expected.items():
        found = cell(summary, block=block, query="attack")
        assert (found["n"], found["mean"]) == (2, pytest.approx(mean))
        assert f"mining={found['config.mining._target_'].rpartition('.')[2]}" in block
        assert found["config.attack.step_size"] == (1.0 if block.endswith("=1") else 0.1)
    assert "config.mining.nearest" not in summary.columns  # the class says it already


def test_classes_of_one_name_and_values_that_are_not_set(run: Make) -> None:
    results = [
        run(mining={"_target_": "aach_lightning.mining.miners.GapMiner"}),
        run(mining={"_target_": "mine.GapMiner"}, attack__note="x"),
        run(mining={"_target_": "mine.GapMiner"}),
    ]
    assert set(summarise(frame_of(results))["block"]) == {
        "mining=aach_lightning.mining.miners.GapMiner, attack.note not set",
        "mining=mine.GapMiner, attack.note=x",
        "mining=mine.GapMiner, attack.note not set",
    }


def test_other_seeds_are_replicates_only_when_asked(run: Make) -> None:
    maps = {(0, 0): 0.1, (0, 1): 0.2, (1, 0): 0.4, (1, 1): 0.6}
    results = [
        run({"I2T attack": value}, seed=seed, target__seed=target, data={"hash": str(target)})
        for (seed, target), value in maps.items()
    ]
    frame = frame_of(results)
    alone = summarise(frame)
    assert same(cell(alone, query="attack", block="target.seed=0"), 2, *interval([0.1, 0.4]))
    assert same(cell(alone, query="attack", block="target.seed=1"), 2, *interval([0.2, 0.6]))
    both = summarise(frame, ("seed", "target.seed"))
    assert same(cell(both, query="attack"), 4, *interval(list(maps.values())))
    target = summarise(frame, ("target.seed",))
    assert same(cell(target, query="attack", block="seed=1"), 2, *interval([0.4, 0.6]))


def test_data_that_changed_under_one_configuration(run: Make) -> None:
    results = [run({"I2T attack": 0.5}, data={"hash": "aa"}), run({"I2T attack": 0.7}, data={"hash": "bb"})]
    summary = summarise(frame_of(results))
    assert {row.block: row.mean for row in summary.query("query == 'attack'").itertuples()} == {
        "data_hash=aa": 0.5,
        "data_hash=bb": 0.7,
    }
    seeds = [run(seed=seed, data={"hash": name}) for seed, name in ((0, "aa"), (0, "bb"), (1, "aa"))]
    assert block_keys(frame_of(seeds)) == ["data_hash"]


def test_numbers_are_independent_of_the_order_of_runs(run: Make) -> None:
    results = [
        run({"I2T clean": 0.8, "I2T attack": 0.3 + seed / 7}, seed=seed, budget__pairs=pairs, target__name=name)
        for seed, pairs, name in itertools.product((0, 1, 2), (20, 40), ("b", "a"))
    ]
    order = ["block", "query", "budget_pairs", "epsilon"]
    first, other = (
        summarise(frame_of(some)).sort_values(order, ignore_index=True) for some in (results, results[::-1])
    )
    pd.testing.assert_frame_equal(first, other)


def test_keys_of_over(run: Make) -> None:
    configs = {"a": flatten(run().config)}
    assert replicate_keys("seed", configs) == ("seed",)
    assert replicate_keys(" seed, target.seed,seed,", configs) == ("seed", "target.seed")
    for text in ("", "seeds", "seed,target.sed"):
        with pytest.raises(ConfigError, match=r"--over=.*data\.seed, seed, split\.seed, target\.seed"):
            replicate_keys(text, configs)
    with pytest.raises(ConfigError, match=r"budget\.pairs is an axis"):
        replicate_keys("seed,budget.pairs", configs)


def test_over_a_key_that_does_not_vary(run: Make) -> None:
    frame = frame_of([run({"I2T attack": 0.5}, seed=0), run({"I2T attack": 0.7}, seed=1)])
    assert same(cell(summarise(frame, ("seed", "split.seed")), query="attack"), 2, *interval([0.5, 0.7]))
