"""Mixed models as estimators of scikit-learn: pipelines, searches, validation by group.

This module needs scikit-learn (``pip install 'mixfit[sklearn]'``); nothing else of mixfit imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FormulaError, MissingPackageError
from mixfit.formula import parse_predictor
from mixfit.model.mixed import mixed

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise MissingPackageError(
        "mixfit.sklearn needs scikit-learn 1.6 or later: pip install 'mixfit[sklearn]'."
    ) from error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["MixedClassifier", "MixedRegressor"]

_GROUPS, _RESPONSE = "groups", "response"
# All columns, and an intercept for each group.
_ALL_COLUMNS = "~ . + (1 | groups)"


class _Mixed(BaseEstimator):  # type: ignore[misc]
    """What regressors and classifiers have in common: columns, groups and a formula become a model."""

    formula: str | None

    def _read(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """X as a frame: columns of any kind by their names, or numbers as x0, x1, ..."""
        if hasattr(X, "columns") or hasattr(X, "column_names"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            frame = X if isinstance(X, pd.DataFrame) else X.to_pandas()
            return frame.rename(columns=str)
        values = validate_data(self, X, reset=reset, dtype=np.float64)
        return pd.DataFrame(values, columns=[f"x{j}" for j in range(values.shape[1])])

    def _checked(self, X: Any, y: Any) -> tuple[pd.DataFrame, Any]:
        """X and y of a fit."""
        if hasattr(X, "columns") or hasattr(X, "column_names"):
            frame = self._read(X, reset=True)
            y = column_or_1d(np.asarray(y), warn=True)
            if len(y) != len(frame):
                raise DataError(f"X has {len(frame)} rows and y {len(y)}.")
            return frame, y
        values, y = validate_data(self, X, y, dtype=np.float64, y_numeric=isinstance(self, RegressorMixin))
        return pd.DataFrame(values, columns=[f"x{j}" for j in range(values.shape[1])]), y

    def _with_groups(self, frame: pd.DataFrame, groups: ArrayLike | None) -> pd.DataFrame:
        if groups is None:
            return frame
        if _GROUPS in frame:
            raise FormulaError("X has a column 'groups' and groups= are given: rename the column.")
        return frame.assign(**{_GROUPS: np.asarray(groups)})

    def _right_side(self) -> str:
        text = _ALL_COLUMNS if self.formula is None else self.formula
        left, tilde, right = text.partition("~")
        if not tilde or left.strip():
            raise FormulaError(f"formula={text!r}: write '~ x + (1 | g)', the response being y.")
        return right

    def _model(self, frame: pd.DataFrame, y: Array, groups: ArrayLike | None, **arguments: Any) -> Any:
        self.uses_groups_ = _GROUPS in _names(self._right_side()) and _GROUPS not in frame
        data = self._with_groups(frame, groups)
        name = _RESPONSE
        while name in data:
            name += "_"
        return mixed(f"{name} ~ {self._right_side()}", data.assign(**{name: y}), na_action="raise", **arguments)

    def _predicted(self, X: Any, groups: ArrayLike | None, without: str) -> Array:
        """Means of rows; `without` says which where the groups that the formula names are not given."""
        frame = self._with_groups(self._read(X, reset=False), groups)
        known = groups is not None or not self.uses_groups_
        options = {"allow_new_levels": True} if known else {"re_form": without}
        return np.asarray(self.result_.predict(frame, **options), dtype=float)


def _names(right: str) -> set[str]:
    return {name for term in parse_predictor(f"~ {right}").random for name in term.group.split(":")}


class MixedRegressor(RegressorMixin, _Mixed):  # type: ignore[misc]
    """A linear or generalized mixed model that predicts numbers, as an estimator of scikit-learn.

    Parameters
    ----------
    formula : str, optional
        ``"~ x + (x | subject)"`` over the columns of X; columns of an array are ``x0``, ``x1``, ...; ``groups`` are
        those given to `fit`. By default ``"~ . + (1 | groups)"``, all columns and an intercept for each group.
    family : str or family instance, optional
        As of `mixfit.mixed`.
    reml : bool
        Of linear models.

    Attributes
    ----------
    result_ : LinearResults or GeneralizedResults
        The fit, with its summary, tests and plots; None without groups (see Notes).
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    Predictions for a group that the fit has seen have its random effects; those for a new one have effects of zero,
    as have all where the formula names ``groups`` and `predict` is given none. Let the groups be a column of X, a
    frame, to have them wherever scikit-learn predicts; ``GroupKFold`` then needs the same column as its ``groups=``.
    With metadata routing, ``set_fit_request(groups=True)`` and ``set_predict_request(groups=True)`` hand them on.

    Without a formula and without groups there is nothing mixed: then it is scikit-learn's ``LinearRegression``.

    Examples
    --------
    >>> import mixfit
    >>> from mixfit.sklearn import MixedRegressor
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> X, y = sleep[["Days", "Subject"]], sleep["Reaction"]
    >>> model = MixedRegressor("~ Days + (Days | Subject)").fit(X, y)
    >>> model.predict(X.head(2)).round(1).tolist()
    [253.7, 273.3]
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> scores = cross_val_score(model, X, y, groups=sleep["Subject"], cv=GroupKFold(6))
    >>> round(float(scores.mean()), 2)
    0.02
    """

    def __init__(self, formula: str | None = None, *, family: Any = None, reml: bool = True) -> None:
        self.formula = formula
        self.family = family
        self.reml = reml

    def fit(
        self, X: Any, y: ArrayLike, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : frame or array_like, shape (n, p)
        y : array_like, shape (n,)
        groups : array_like, shape (n,), optional
            The column ``groups`` of the formula.
        sample_weight : array_like, shape (n,), optional
            Prior weights.

        Returns
        -------
        MixedRegressor
        """
        frame, y = self._checked(X, y)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, frame)
        if self.formula is None and groups is None:
            self.result_, self.fixed_ = None, LinearRegression().fit(frame.to_numpy(), y, weights)
            return self
        model = self._model(frame, np.asarray(y, dtype=float), groups, weights=weights, family=self.family)
        linear = self.family is None or self.family == "gaussian"
        self.result_ = model.fit(reml=self.reml) if linear else model.fit()
        return self

    def predict(self, X: Any, groups: ArrayLike | None = None) -> Array:
        """Predict means.

        Parameters
        ----------
        X : frame or array_like, shape (m, p)
        groups : array_like, shape (m,), optional

        Returns
        -------
        ndarray, shape (m,)
        """
        check_is_fitted(self, "result_")
        if self.result_ is None:
            return np.asarray(self.fixed_.predict(self._read(X, reset=False).to_numpy()))
        return self._predicted(X, groups, "population")


class MixedClassifier(ClassifierMixin, _Mixed):  # type: ignore[misc]
    """A mixed model of events that predicts one of two classes, as an estimator of scikit-learn.

    Parameters
    ----------
    formula : str, optional
        As of `MixedRegressor`.
    link : {"logit", "probit", "cloglog", "cauchit"}
    n_agq : int
        Quadrature points, as of the model's ``fit``.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        The second is the event.
    result_ : GeneralizedResults
        The fit; None without groups (see Notes).
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    As of `MixedRegressor`; where `predict` is given no groups that the formula names, probabilities are averaged over
    the groups of the population. Without a formula and without groups it is scikit-learn's ``LogisticRegression``.

    Examples
    --------
    >>> import mixfit
    >>> from mixfit.sklearn import MixedClassifier
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> X, y = ticks[["HEIGHT", "BROOD"]].assign(HEIGHT=(ticks["HEIGHT"] - 450) / 100), ticks["TICKS"] > 0
    >>> model = MixedClassifier("~ HEIGHT + (1 | BROOD)").fit(X, y)
    >>> model.predict_proba(X.head(2)).round(2).tolist()
    [[0.64, 0.36], [0.64, 0.36]]
    """

    def __init__(self, formula: str | None = None, *, link: str = "logit", n_agq: int = 1) -> None:
        self.formula = formula
        self.link = link
        self.n_agq = n_agq

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : frame or array_like, shape (n, p)
        y : array_like, shape (n,)
            Of two classes.
        groups : array_like, shape (n,), optional
            The column ``groups`` of the formula.

        Returns
        -------
        MixedClassifier
        """
        frame, y = self._checked(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            kind = "Only binary classification is supported. " if len(self.classes_) > 2 else ""
            raise DataError(f"{kind}y has {len(self.classes_)} class(es), and the model is of two.")
        if self.formula is None and groups is None:
            self.result_, self.fixed_ = None, LogisticRegression().fit(frame.to_numpy(), codes)
            return self
        model = self._model(frame, codes.astype(float), groups, family=f"binomial({self.link})")
        self.result_ = model.fit(n_agq=self.n_agq)
        return self

    def predict_proba(self, X: Any, groups: ArrayLike | None = None) -> Array:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : frame or array_like, shape (m, p)
        groups : array_like, shape (m,), optional

        Returns
        -------
        ndarray, shape (m, 2)
        """
        check_is_fitted(self, "result_")
        if self.result_ is None:
            return np.asarray(self.fixed_.predict_proba(self._read(X, reset=False).to_numpy()))
        event = self._predicted(X, groups, "marginal")
        return np.column_stack([1.0 - event, event])

    def predict(self, X: Any, groups: ArrayLike | None = None) -> NDArray[Any]:
        """Predict the likelier class.

        Parameters
        ----------
        X : frame or array_like, shape (m, p)
        groups : array_like, shape (m,), optional

        Returns
        -------
        ndarray, shape (m,)
        """
        event = self.predict_proba(X, groups)[:, 1]
        return self.classes_[(event > 0.5).astype(int)]
