"""The exceptions that layermilp raises on purpose, and its warnings.

Each exception also inherits from the built-in exception that a caller would expect, and each
message names the value that was refused and says what to do instead. The command line turns them
into one line and exit code 2."""


class LayermilpError(Exception):
    """Base class of every error that layermilp raises on purpose."""


class DataError(LayermilpError, ValueError):
    """Training or test data that a method cannot use."""


class ChecksumError(DataError):
    """A data file whose SHA-256 differs from the pinned one."""


class NetworkError(LayermilpError, ValueError):
    """A network that cannot be built, or that does not fit the data."""


class ModelFileError(LayermilpError, ValueError):
    """A model file that is damaged, foreign, or of an unknown version."""


class PackageNotAvailable(LayermilpError, ImportError):
    """An optional package that is not installed."""


class ProgramError(LayermilpError, ValueError):
    """A program whose arrays do not fit together or hold values no solver can take."""


class OptionError(LayermilpError, ValueError):
    """An option that is unknown, or a value that is out of its range or refused by the solver."""


class OutputError(LayermilpError, OSError):
    """A place where results cannot be written."""


class SharedSamplesWarning(UserWarning):
    """Members of a committee that are trained on the same samples, because there are too few."""


class SolverError(LayermilpError, RuntimeError):
    """A solver that failed, or gave an answer that does not hold."""


class SolverNotAvailable(SolverError):
    """A solver whose package is not installed."""


class ProgramTooLarge(SolverError):
    """A program that exceeds the size limit of the installed edition of a solver."""
