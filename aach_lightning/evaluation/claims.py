"""Checks of a card: its numbers against its own budgets, bounds and ranges."""

from aach_lightning.evaluation.card import Card

_ROUNDING = 1e-6  # of float32, in units of the input; a level of 8 bits is 0.004


def broken_claims(card: Card) -> list[str]:
    """Reasons why a card cannot be believed; none where it is consistent.

    The bound of images is that of what the target was shown, after rounding to 8 bits. Under l2 a card knows no size of
    its items: `reports verify` measures it on the saved ones.
    """
    row, words = card.row, card.row.words is not None
    bound = row.epsilon if words else card.epsilon / 255 if row.direction == "I2T" else card.text_epsilon
    most = bound + _ROUNDING if card.norm != "l2" else float("inf")
    allowed_items = card.budget_items if row.query == "attack" else 0
    checks = (
        (
            row.pairs_queried > card.budget_pairs,
            f"{row.pairs_queried} pairs queried of {card.budget_pairs}",
        ),
        (row.items_queried > allowed_items, f"{row.items_queried} items queried of {allowed_items}"),
        (min(row.pairs_queried, row.items_queried, card.budget_pairs, card.budget_items) < 0, "a negative count"),
        (not words and row.linf > most, f"an entry changed by {row.linf:.5f}, epsilon is {bound:.5f}"),
        (words and (row.words or 0) > row.epsilon, f"{row.words} words edited on average, {row.epsilon:g} are allowed"),
        (row.rms > row.linf + _ROUNDING, f"an RMS change of {row.rms:.5f}, but no entry above {row.linf:.5f}"),
        (row.needs == "nothing" and row.pairs_queried + row.items_queried > 0, "queries, though it needs nothing"),
        (not 0 <= row.map <= 1, f"a MAP of {row.map}"),
        (not 0 <= row.distance <= card.target["code_length"], f"codes that moved by {row.distance} bits"),
    )
    return [reason for broken, reason in checks if broken]
