"""The errors that a person can act on: they are shown without a traceback."""

import copy


class AachError(Exception):
    """Base of all errors whose message says what was received, what is allowed and which key to change."""


_REPORTED = "_reported_elsewhere"


def mark_reported(error: BaseException) -> None:
    """Say that another process tells this error to the user."""
    setattr(error, _REPORTED, True)


def is_reported(error: BaseException) -> bool:
    """Whether another process tells this error to the user."""
    return bool(getattr(error, _REPORTED, False))


def sendable(error: BaseException) -> BaseException:
    """The error itself, or its text where another process could not unpickle it."""
    try:
        copy.deepcopy(error)
    except Exception:  # its arguments are not those of its constructor
        return AachError(f"{type(error).__name__}: {error}")
    return error


class ConfigError(AachError):
    """The configuration contradicts itself or the data."""


class DataError(AachError):
    """A data file is missing, damaged or not what it claims to be."""


class StoreError(AachError):
    """An artifact on disk is damaged or cannot be written."""


class CheckpointError(AachError):
    """A file of weights is unreadable, unsafe to load, or made for another network."""


class TrackingError(AachError):
    """Experiment tracking was asked for and cannot start."""
