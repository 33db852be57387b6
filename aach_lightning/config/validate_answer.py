"""Rules of `answer`: what of an attack works without codes."""

from aach_lightning.config.answer import LARGEST_GALLERY
from aach_lightning.config.choices import AnswerName, SourceName
from aach_lightning.config.mistakes import Mistakes
from aach_lightning.config.schema import RunConfig


def check_answer(config: RunConfig, found: Mistakes) -> None:
    """Note what is wrong with `answer`, and with what needs codes where none are answered."""
    answer, attack, need = config.answer, config.attack, found.need
    if not answer.ranked:
        return
    allowed = f"must lie in 2 to {LARGEST_GALLERY}"
    need(2 <= answer.gallery <= LARGEST_GALLERY, "answer.gallery", answer.gallery, allowed)
    if answer.name is AnswerName.topk:
        allowed = f"must lie in 1 to answer.gallery - 1 = {answer.gallery - 1}; answer=ranks gives all of them"
        need(1 <= answer.k < answer.gallery, "answer.k", answer.k, allowed)
    codes = f"answer={answer.name} reveals none: choose"
    need(
        attack.source is not SourceName.queries,
        "attack.source",
        attack.source,
        f"a search measures distances between codes, and {codes} attack.source=surrogate, or answer=codes",
    )
    need(
        not attack.query_anchor,
        "attack.query_anchor",
        True,
        f"ranks by the target's code of each attacked item, and {codes} attack.query_anchor=false, or answer=codes",
    )
    need(
        attack.target_item is None,
        "attack.target_item",
        attack.target_item,
        f"wants the target's code of that item, and {codes} attack.target_label, or answer=codes",
    )
