"""What can go wrong, in a handful of classes.

Every message says what was expected, what came, and how to mend it. All classes derive from
`TvmSparseError`, so that a caller (and the command line) can tell our verdicts from bugs.
"""


class TvmSparseError(Exception):
    """Base of every error that this package raises on purpose."""


class ModelError(TvmSparseError):
    """The model cannot be compiled: unsupported operator, dynamic shape, NaN weights, bad mask."""


class FormatError(TvmSparseError):
    """A sparse format or scheme was named or used wrongly."""


class TargetError(TvmSparseError):
    """The target is unknown, its profile is invalid, or this machine cannot run it."""


class ArtifactError(TvmSparseError):
    """A compiled file cannot be written, is damaged, or was not made by this package."""


class InputError(TvmSparseError, ValueError):
    """A model was given inputs of the wrong number, shape or type."""


class DatabaseError(TvmSparseError):
    """A folder of tuned records cannot be written or read, or belongs to another machine."""


class DeviceError(TvmSparseError):
    """A board or its tracker cannot be reached, is of another kind, or was lost."""


class PruningError(TvmSparseError):
    """A pruning method lacks what it needs, or cannot prune this model."""


class PlanError(TvmSparseError):
    """A plan cannot be made, read or applied: budget out of reach, unknown layer, damaged file."""


class ConfigError(TvmSparseError):
    """The configuration of a run is wrong, or what it names is not there."""
