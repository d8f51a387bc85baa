"""Principal components of the random effects, as lme4's ``rePCA``."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from mixfit.fitted.varcorr import term_order
from mixfit.tables.layout import lay_out
from mixfit.tables.numbers import format_common

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["REPCA", "PrincipalComponents", "principal_components", "re_pca"]

_ROWS = ("Standard deviation", "Proportion of Variance", "Cumulative Proportion")
# What R's summary of principal components keeps of the proportions, and prints of all.
_DECIMALS = 5
# As lme4 prints them.
_DIGITS = 4


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Principal components of the random effects of one grouping factor.

    Attributes
    ----------
    sdev : ndarray, shape (k,)
        Singular values of the relative factor Lambda of one level, decreasing: standard deviations over sigma.
    rotation : ndarray, shape (k, k)
        Left singular vectors, a column a component.
    columns : tuple of str, length k
        Random columns: the rows of `rotation`.
    """

    sdev: Array
    rotation: Array
    columns: tuple[str, ...]

    @property
    def proportion(self) -> Array:
        """Share of each component in the variance, shape (k,); NaN where there is none."""
        with np.errstate(invalid="ignore"):
            return self.sdev**2 / np.sum(self.sdev**2)

    def to_frame(self) -> pd.DataFrame:
        """Return standard deviations, proportions and cumulative proportions, a column a component.

        Returns
        -------
        DataFrame
            A column a component, ``PC1``, ``PC2`` and so on.
        """
        table = np.stack([self.sdev, self.proportion, np.cumsum(self.proportion)])
        return pd.DataFrame(table, index=list(_ROWS), columns=[f"PC{i + 1}" for i in range(len(self.sdev))])

    def __str__(self) -> str:
        sdev, *shares = self.to_frame().to_numpy()
        rounded = np.stack([sdev, *(np.round(share, _DECIMALS) for share in shares)])
        cells = [format_common(column, _DIGITS) for column in rounded.T.tolist()]
        header = [f"[,{i + 1}]" for i in range(len(cells))]
        rows = list(zip(*cells, strict=True))
        return "Importance of components:\n" + lay_out(header, rows, _ROWS, right=True)

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class REPCA:
    """Principal components by grouping factor; prints as R's ``summary(rePCA(m))``.

    Attributes
    ----------
    components : mapping of str to PrincipalComponents

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.re_pca().to_frame().round(3)
         group  component   sdev  proportion  cumulative
    0  Subject          1  0.967       0.946       0.946
    1  Subject          2  0.231       0.054       1.000
    """

    components: Mapping[str, PrincipalComponents]

    def __getitem__(self, group: str) -> PrincipalComponents:
        return self.components[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self.components)

    def __len__(self) -> int:
        return len(self.components)

    def to_frame(self) -> pd.DataFrame:
        """Return a row a component: ``group``, ``component``, ``sdev``, ``proportion``, ``cumulative``.

        Returns
        -------
        DataFrame
        """
        parts = [
            pd.DataFrame(
                {
                    "group": group,
                    "component": np.arange(1, len(part.sdev) + 1),
                    "sdev": part.sdev,
                    "proportion": part.proportion,
                    "cumulative": np.cumsum(part.proportion),
                }
            )
            for group, part in self.components.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def __str__(self) -> str:
        return "\n\n".join(f"${group}\n{part}" for group, part in self.components.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def principal_components(random: Sequence[RandomDesign], templates: Sequence[Array]) -> REPCA:
    """Find the principal components of each grouping factor's relative factor, all its terms together.

    Parameters
    ----------
    random : sequence of RandomDesign
    templates : sequence of ndarray, shape (k_t, k_t)
        Lower-triangular relative factors of the same terms.

    Returns
    -------
    REPCA
        Factors by decreasing number of levels.

    Examples
    --------
    >>> from mixfit.covariance.unstructured import Unstructured
    >>> from mixfit.matrices.types import Grouping, RandomDesign
    >>> g = Grouping("g", np.array([0, 1]), pd.Index(["a", "b"]))
    >>> term = RandomDesign(g, ("Intercept", "x"), np.ones((2, 2)), Unstructured(2), "(x | g)")
    >>> principal_components([term], [np.diag([2.0, 1.0])])
    $g
    Importance of components:
                           [,1] [,2]
    Standard deviation      2.0  1.0
    Proportion of Variance  0.8  0.2
    Cumulative Proportion   0.8  1.0
    """
    terms: dict[str, list[int]] = {}
    for t in term_order(random):
        terms.setdefault(random[t].grouping.name, []).append(t)
    components = {}
    for group, own in terms.items():
        factor = block_diag(*(templates[t] for t in sorted(own)))
        rotation, sdev, _ = np.linalg.svd(factor)
        columns = tuple(column for t in sorted(own) for column in random[t].columns)
        components[group] = PrincipalComponents(sdev, rotation, columns)
    return REPCA(components)


def re_pca(fit: Fit) -> REPCA:
    """Find the principal components of the random effects of every grouping factor, as lme4's ``rePCA``.

    Returns
    -------
    REPCA
        Prints as ``summary(rePCA(m))``. Standard deviations are relative to sigma, or on the scale of the
        linear predictor where there is none; components of about zero are what a singular fit can do without.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().re_pca()
    $Subject
    Importance of components:
                             [,1]    [,2]
    Standard deviation     0.9669 0.23088
    Proportion of Variance 0.9460 0.05395
    Cumulative Proportion  0.9460 1.00000
    """
    return principal_components(fit.model.design.random, fit.estimate.templates)
