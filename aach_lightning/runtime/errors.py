"""The errors that a person can act on: they are shown without a traceback."""


class AachError(Exception):
    """Base of all errors whose message says what was received, what is allowed and which key to change."""


class ConfigError(AachError):
    """The configuration contradicts itself or the data."""


class DataError(AachError):
    """A data file is missing, damaged or not what it claims to be."""


class StoreError(AachError):
    """An artifact on disk is damaged or cannot be written."""


class CheckpointError(AachError):
    """A file of weights is unreadable, unsafe to load, or made for another network."""
