"""Exceptions."""


class FunnelPulseError(Exception):
    """Any error of this library."""


class DataError(FunnelPulseError, ValueError):
    """Something is wrong with a table or an array; the message names series, row and column."""


class ConfigError(FunnelPulseError, ValueError):
    """A setting is wrong; the message names the setting, its value and the allowed range."""


class ModelError(FunnelPulseError, ValueError):
    """A model or a snapshot is damaged, foreign or of another model."""
