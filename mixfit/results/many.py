"""What a user holds after fitting one formula to many groups or many responses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.helped import Helped
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["ManyFits"]

# Reasons that a summary names.
_REASONS = 5


@dataclass(frozen=True, eq=False)
class ManyFits(Helped):
    """Estimates of one formula for many keys: groups of rows, or responses.

    Attributes
    ----------
    formula : str
    estimates : DataFrame
        A row a key, a column a parameter: standard deviations and correlations of the random effects, residual standard
        deviation or dispersion, fixed effects. NaN where a key has no fit, and where its rows do not have the
        parameter.
    bse : DataFrame
        Standard errors of the fixed effects.
    facts : DataFrame
        Columns ``nobs``, ``llf`` (of the REML criterion for fits by REML) and ``is_singular``.
    failures : dict of key to str
        Why a key has no fit.
    fit : callable
        ``many.fit(key)`` is the whole result of one key, fitted by itself: for tests, predictions, diagnostics.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> simulated = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit().simulate(50, seed=1)
    >>> many = mixfit.fit_many("~ Days + (1 | Subject)", sleep, responses=simulated)
    >>> many.estimates.shape, many.n_failed
    ((50, 4), 0)
    >>> many.fit("sim_7").ttest().to_frame().shape
    (2, 5)
    """

    formula: str
    estimates: pd.DataFrame
    bse: pd.DataFrame
    facts: pd.DataFrame
    failures: dict[Any, str]
    fit: Callable[[Hashable], Any]

    def __len__(self) -> int:
        return len(self.facts)

    @property
    def keys(self) -> pd.Index:
        """Of the groups, or names of the responses."""
        return self.facts.index

    @property
    def n_failed(self) -> int:
        """Keys without a fit; `failures` says why."""
        return len(self.failures)

    def to_frame(self) -> pd.DataFrame:
        """Return the fixed effects of all keys, one below the other.

        Returns
        -------
        DataFrame
            Columns ``term``, ``estimate``, ``std_error`` and ``statistic``, their ratio, under the keys. There are no
            p-values: those of small groups need degrees of freedom, which ``many.fit(key).ttest()`` has.

        Examples
        --------
        >>> import mixfit
        >>> plates = mixfit.datasets.load("penicillin_plates")
        >>> many = mixfit.fit_many("diameter ~ 1 + (1 | plate)", plates.assign(half=plates.index % 2), by="half")
        >>> many.to_frame().round(2).columns.tolist()
        ['term', 'estimate', 'std_error', 'statistic']
        """
        names = self.bse.columns
        estimates, errors = self.estimates[names].to_numpy(), self.bse.to_numpy()
        columns = {
            "term": np.tile(names, len(self)),
            "estimate": estimates.ravel(),
            "std_error": errors.ravel(),
            "statistic": (estimates / errors).ravel(),
        }
        return pd.DataFrame(columns, index=self.keys.repeat(len(names)))

    def summary(self) -> Table:
        """Return quartiles of the estimates over the keys, with what failed.

        Returns
        -------
        Table

        Examples
        --------
        >>> import mixfit
        >>> plates = mixfit.datasets.load("penicillin_plates")
        >>> many = mixfit.fit_many("diameter ~ 1 + (1 | plate)", plates.assign(half=plates.index % 2), by="half")
        >>> list(many.summary().to_frame())
        ['25%', 'median', '75%']
        """
        quartiles = self.estimates.quantile([0.25, 0.5, 0.75]).T
        quartiles.columns = pd.Index(["25%", "median", "75%"])
        heading = (f"{len(self) - self.n_failed} fits of {self.formula}", "Quartiles of the estimates", "")
        return Table(quartiles, heading=heading, notes=tuple(self._notes()))

    def _notes(self) -> list[str]:
        singular = int(self.facts["is_singular"].sum())
        notes = [f"{singular} fits are singular."] if singular else []
        if self.failures:
            counts = Counter(self.failures.values()).most_common()
            notes.append(f"{self.n_failed} keys have no fit:")
            notes += [f"  {count} x {reason}" for reason, count in counts[:_REASONS]]
            rest = sum(count for _, count in counts[_REASONS:])
            notes += [f"  {rest} for other reasons"] if rest else []
        return notes

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary().as_html()
