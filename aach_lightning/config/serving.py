"""Typed configuration of a served target."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from aach_lightning.config.schema import RunConfig


@dataclass
class LimitsConfig:
    """What a service answers at most."""

    quota: int | None = MISSING  # items that each key may ask for while the service runs; null: any number
    rate: float = MISSING  # requests a second of each key, in the long run
    burst: int = MISSING  # requests of each key at once
    items: int = MISSING  # images or texts of a request
    body_mib: float = MISSING  # size of a request
    body_seconds: float = MISSING  # until a request has arrived
    remembered: int = MISSING  # answers that are kept for requests that come again
    connections: int = MISSING  # at once; further ones get 503


@dataclass
class ServingConfig:
    """Where a service listens."""

    host: str = MISSING
    port: int = MISSING  # 0: any free one
    limits: LimitsConfig = field(default_factory=LimitsConfig)


@dataclass
class ServeConfig(RunConfig):
    """What python -m aach_lightning.serving.serve reads: the target and its data as in a run, and how it is served."""

    serving: ServingConfig = field(default_factory=ServingConfig)
