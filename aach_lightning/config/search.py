"""Attacks by queries; the names of the searches are the choices of `attack/search`."""

from dataclasses import dataclass

from omegaconf import MISSING

from aach_lightning.config.option import BELOW_ONE, POSITIVE, SHARE, Limits, option


@dataclass
class SearchConfig:
    """How changes are looked for by asking for their codes."""

    _target_: str = MISSING


@dataclass
class NESConfig(SearchConfig):
    """NES (Ilyas et al., ICML 2018): a gradient estimated from pairs of opposite probes, and sign steps along it.

    10 samples with a step_size of 0.5 find more than the paper's where an item has a few hundred queries. The paper's
    sigma of 0.02 is lost when images are rounded to 8 bits and scores to whole bits.
    """

    _target_: str = "aach_lightning.attacks.search.nes.NES"
    samples: int = option(50, "queries for one estimate, pairs of opposite probes", Limits(2, 10_000, parity="even"))
    sigma: float = option(1.0, "of the probes, as a share of epsilon", POSITIVE)
    step_size: float = option(0.2, "as a share of epsilon", POSITIVE)
    momentum: float = option(0.9, "of the estimates", BELOW_ONE)


@dataclass
class SquareConfig(SearchConfig):
    """Square Attack (Andriushchenko et al., ECCV 2020), l_inf: random squares; what does not raise the score is undone.

    The paper changes 0.05 of an image of ImageNet first, AutoAttack 0.8.
    """

    _target_: str = "aach_lightning.attacks.search.square.SquareAttack"
    changed: float = option(0.8, "share of the pixels in the first squares", SHARE)
    newer_on_ties: bool = option(False, "keeps changes of an equal score too, which distances of codes often have")


@dataclass
class SignHunterConfig(SearchConfig):
    """SignHunter (Al-Dujaili and O'Reilly, ICLR 2020): signs flipped by halves, quarters, ...; it has no parameters."""

    _target_: str = "aach_lightning.attacks.search.sign_hunter.SignHunter"


SEARCHES = {"nes": NESConfig, "square": SquareConfig, "signhunter": SignHunterConfig}
