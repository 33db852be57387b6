"""How a target is served, beside the configuration of a run."""

from dataclasses import dataclass

from aach_lightning.config.option import POSITIVE, Limits, option
from aach_lightning.config.schema import RunConfig


@dataclass
class LimitsConfig:
    """What a service answers at most."""

    quota: int | None = option(None, "items that each key may ask for while the service runs", Limits(1, 10**12))
    rate: float = option(200.0, "requests a second of each key, in the long run", POSITIVE)
    burst: int = option(400, "requests of each key at once", POSITIVE)
    items: int = option(256, "images or texts of a request", POSITIVE)
    body_mib: float = option(32.0, "size of a request", POSITIVE)
    body_seconds: float = option(30.0, "until a request has arrived", POSITIVE)
    remembered: int = option(10_000, "answers that are kept for requests that come again", POSITIVE)
    connections: int = option(128, "at once; further ones get 503", POSITIVE)


@dataclass
class ServingConfig:
    """Where a service listens."""

    host: str = option("127.0.0.1", "behind a proxy that speaks TLS")
    port: int = option(8080, "0: any free one", Limits(0, 65_535))
    limits: LimitsConfig = option(LimitsConfig, "what it answers at most")


@dataclass
class ServeConfig(RunConfig):
    """What python -m aach_lightning.serving reads: the target and its data as in a run, and how it is served."""

    serving: ServingConfig = option(ServingConfig, "how a target is served, by python -m aach_lightning.serving alone")
