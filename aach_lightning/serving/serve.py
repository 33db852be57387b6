"""Answer over HTTP with the codes of a trained target: python -m aach_lightning.serving target=... data=..."""

import logging
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from aach_lightning.config.choices import AnswerName
from aach_lightning.config.schema import RunConfig, register_schemas
from aach_lightning.config.serving import ServeConfig, ServingConfig
from aach_lightning.errors import AachError, ConfigError
from aach_lightning.runtime.run import run, start

if TYPE_CHECKING:
    from uvicorn import Server

    from aach_lightning.serving.system import System

log = logging.getLogger(__name__)


class ServiceError(AachError):
    """The service cannot start."""


def serve(config: RunConfig) -> None:
    """Find or train the target, and answer until the process is stopped."""
    from aach_lightning.data.experiment import Experiment
    from aach_lightning.serving.accounts import keys_from_environment
    from aach_lightning.serving.system import About, System
    from aach_lightning.targets.deployment import deployed_target, ensure_deployed
    from aach_lightning.targets.remote_deployment import words_hash

    serving = cast(ServeConfig, config).serving
    if (name := config.answer.name) is not AnswerName.codes:
        raise ConfigError(f"answer={name}: a service answers with codes; attack.py answer={name} has a door that ranks")
    keys = keys_from_environment()
    experiment = Experiment.load(config, target_only=True)
    artifact, pairs = ensure_deployed(experiment), experiment.pairs
    about = About(
        artifact.key, config.target.code_length, pairs.images.shape[-1], len(pairs.words), words_hash(pairs.words)
    )
    listen(System(deployed_target(experiment, artifact), about), keys, serving)


def listen(system: "System", keys: Sequence[str], serving: ServingConfig) -> None:
    """Answer until the process is stopped.

    Args:
        system: What is served.
        keys: Of the clients.
        serving: Address and limits.

    Raises:
        ServiceError: If the address is taken.
    """
    from aach_lightning.serving.accounts import Accounts
    from aach_lightning.serving.app import make_app

    server = make_server(make_app(system, Accounts(keys, serving.limits), serving.limits), serving)
    listener = bind(server)
    host, port = listener.getsockname()[:2]
    log.info("answering at http://%s:%d, described at http://%s:%d/docs", host, port, host, port)
    server.run(sockets=[listener])


def bind(server: "Server") -> socket.socket:
    """The socket on which a server is to listen.

    Raises:
        ServiceError: If the address is taken.
    """
    host, port = server.config.host, server.config.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServiceError(f"cannot listen at serving.host={host}, serving.port={port}: {error}") from error
    # asyncio does this for sockets that it opens itself; else each answer waits 40 ms for an acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def make_server(app: Callable[..., Any], serving: ServingConfig) -> "Server":
    """A server that does not listen yet."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=serving.host,
            port=serving.port,
            limit_concurrency=serving.limits.connections,
            log_config=None,  # Hydra has set up logging
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
        )
    )


def register_serving() -> None:
    """Put the schema of a service in the place of a run's: Hydra cannot merge one over another."""
    register_schemas()
    ConfigStore.instance().store(name="schema", node=ServeConfig)


def main() -> None:
    """Start the command."""
    start("serve", _serve, register_serving)


def _serve(config: DictConfig) -> None:
    run(config, serve)
