"""What fits tell while they go on, by the logger ``mixfit``: nothing, unless a program listens.

Evaluations of the criterion are at level DEBUG, a line for each fit at INFO. A line is made only where someone listens.
"""

from __future__ import annotations

import logging

__all__ = ["evaluated", "finished", "refused", "search_begins"]

_LOGGER = logging.getLogger("mixfit")
# A library leaves it to the program where its records go (Python's logging HOWTO).
_LOGGER.addHandler(logging.NullHandler())


def search_begins(value: float, n_evaluations: int) -> None:
    """A search begins at a place with this value, to which some evaluations led."""
    _LOGGER.debug("search begins at a criterion of %.10g, after %s", value, _counted(n_evaluations))


def evaluated(value: float, n_evaluations: int) -> None:
    """The criterion has been evaluated, which was the n-th time in this search."""
    _LOGGER.debug("evaluation %d: criterion %.10g", n_evaluations, value)


def refused(error: Exception, n_evaluations: int) -> None:
    """The criterion has no value at a place, and why."""
    _LOGGER.debug("evaluation %d: no criterion: %s", n_evaluations, error)


def finished(description: str, nobs: int, value: float, n_evaluations: int, message: str) -> None:
    """A model has been fitted.

    Parameters
    ----------
    description : str
        Which model it is.
    nobs : int
        Rows.
    value : float
        The criterion at the estimates.
    n_evaluations : int
    message : str
        How it ended.

    Examples
    --------
    >>> import logging, sys
    >>> import mixfit
    >>> logger, handler = logging.getLogger("mixfit"), logging.StreamHandler(sys.stdout)
    >>> logger.setLevel("INFO"), logger.addHandler(handler)
    (None, None)
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    bright ~ 1 + (1 | operator): 20 rows, criterion 18.6262, 1 evaluation, optimality conditions hold
    >>> logger.setLevel("NOTSET"), logger.removeHandler(handler)
    (None, None)
    """
    _LOGGER.info(
        "%s: %d rows, criterion %.7g, %s, %s",
        description,
        nobs,
        value,
        _counted(n_evaluations),
        message,
    )


def _counted(n_evaluations: int) -> str:
    return f"{n_evaluations} evaluation{'' if n_evaluations == 1 else 's'}"
