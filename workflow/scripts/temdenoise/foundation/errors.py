"""The errors a user can mend; each says what is wrong, the value and the remedy."""


class ConfigurationError(ValueError):
    """A configuration key holds a value the workflow cannot run with."""


class ConvergenceError(RuntimeError):
    """A self-consistent calculation did not converge."""


class DataError(ValueError):
    """A file or array does not hold what it should."""
