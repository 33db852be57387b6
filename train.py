"""Train the system under attack, or the surrogates that imitate it: python train.py stage=target|surrogate."""

from aach_lightning.runtime.run import run, stamp_run

stamp_run()

import hydra  # noqa: E402 - the stamp must be in the environment before Hydra names the run's folder
from omegaconf import DictConfig  # noqa: E402

from aach_lightning.config.schema import register_schemas  # noqa: E402

register_schemas()


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> None:
    """Hydra's entry."""
    from aach_lightning import cli  # here, so that --help and the workers that decode images start quickly

    run(config, cli.train)


if __name__ == "__main__":
    main()
