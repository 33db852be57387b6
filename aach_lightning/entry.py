"""The two commands as functions: train.py and attack.py in a checkout, aach-train and aach-attack once installed.

Launchers of clusters send a command's function to their processes by its name, which no function of a script has.
"""

from omegaconf import DictConfig

from aach_lightning.runtime.run import run, start


def train() -> None:
    """Train the system under attack, or the surrogates that imitate it."""
    start("train", _train)


def attack() -> None:
    """Attack a system that only answers with codes, and measure the damage."""
    start("attack", _attack)


def _train(config: DictConfig) -> None:
    from aach_lightning import cli  # here, so that --help and the workers that decode images start quickly

    run(config, cli.train)


def _attack(config: DictConfig) -> None:
    from aach_lightning import cli

    run(config, cli.attack)
