"""Rules of `attack.search` and `attack.queries`."""

from aach_lightning.config.choices import NormName, SourceName
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig
from aach_lightning.config.search import NESConfig, SquareConfig


def check_search(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with a search."""
    attack, search, need = config.attack, config.attack.search, found.need
    if attack.source is not SourceName.queries:
        allowed = f"must be null under attack.source={attack.source}, which does not search; attack=square does"
        need(search is None, "attack.search", search, allowed)
        need(attack.queries is None, "attack.queries", attack.queries, allowed)
        return
    need(search is not None, "attack.search", search, "must be nes, square or signhunter under attack.source=queries")
    items = config.evaluation.queries
    need(
        attack.queries is not None and attack.queries >= 2 * items,
        "attack.queries",
        attack.queries,
        f"must be at least {2 * items}: the own codes of evaluation.queries={items} items and a change of each",
    )
    need(not attack.query_anchor, "attack.query_anchor", True, "must be false: a search asks for these codes anyway")
    need(
        not attack.knows_defence, "attack.knows_defence", True, "must be false: a search has no source to put behind it"
    )
    if isinstance(search, SquareConfig):
        found.share("attack.search.changed")
        need(attack.norm is not NormName.l2, "attack.norm", attack.norm, "must not be l2 for Square Attack under l_inf")
    if isinstance(search, NESConfig):
        even = search.samples >= 2 and search.samples % 2 == 0
        need(even, "attack.search.samples", search.samples, "must be even and at least 2: pairs of opposite probes")
        found.positive("attack.search.sigma", "attack.search.step_size")
        found.below_one("attack.search.momentum")
