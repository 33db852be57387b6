"""Attack an image-text hashing system that only answers with codes, and measure the damage: python attack.py."""

from aach_lightning.runtime.run import run, stamp_run

stamp_run()

import hydra  # noqa: E402 - the stamp must be in the environment before Hydra names the run's folder
from omegaconf import DictConfig  # noqa: E402

from aach_lightning.config.schema import register_schemas  # noqa: E402

register_schemas()


@hydra.main(version_base="1.3", config_path="conf", config_name="attack")
def main(config: DictConfig) -> None:
    """Hydra's entry."""
    from aach_lightning import cli  # here, so that --help and the workers that decode images start quickly

    run(config, cli.attack)


if __name__ == "__main__":
    main()
