"""Typed configuration of query-based attacks."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class SearchConfig:
    """How changes are looked for by asking for their codes."""

    _target_: str = MISSING


@dataclass
class NESConfig(SearchConfig):
    """Sign steps along a gradient that is estimated from queries."""

    _target_: str = "aach_lightning.attacks.search.nes.NES"
    samples: int = MISSING  # queries for one estimate, even
    sigma: float = MISSING  # of the probes, as a share of epsilon
    step_size: float = MISSING  # as a share of epsilon
    momentum: float = MISSING


@dataclass
class SquareConfig(SearchConfig):
    """Random squares; what does not raise the score is undone."""

    _target_: str = "aach_lightning.attacks.search.square.SquareAttack"
    changed: float = MISSING  # share of the pixels in the first squares
    newer_on_ties: bool = MISSING


@dataclass
class SignHunterConfig(SearchConfig):
    """Signs flipped by halves, quarters, ...; what lowers the score is undone."""

    _target_: str = "aach_lightning.attacks.search.sign_hunter.SignHunter"


SEARCH_SCHEMAS: dict[str, type[SearchConfig]] = {
    "nes_schema": NESConfig,
    "square_schema": SquareConfig,
    "sign_hunter_schema": SignHunterConfig,
}
