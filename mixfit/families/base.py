r"""What a generalized mixed model asks of a family, row by row.

For a row with mean mu = mu(eta), l is its log density with every constant and f_1, f_2, f_3 its derivatives in
mu. In the linear predictor

    l' = f_1 mu',   l'' = f_2 mu'^2 + f_1 mu'',   l''' = f_3 mu'^3 + 3 f_2 mu' mu'' + f_1 mu'''.

The weight W in A = Lambda'Z'WZ Lambda + I is -l'' (the Laplace approximation as glmmTMB has it), or its
expectation I(mu) mu'^2 where lme4 defines the likelihood by it; for canonical links they are the same.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from mixfit.errors import FitError, ParameterError
from mixfit.families.declared import Coupling, DispersionKind, DispersionTerms, Kind, Shape, Support, Terms
from mixfit.families.links import LINKS, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mixfit.families.jets import Jet

    Array = NDArray[np.float64]

__all__ = ["Family"]

# e^100, times five, is below the largest double, e^709.
_LARGEST_LOG_MEAN = 100.0


class Family(ABC):
    """A conditional distribution with its link.

    What the rest of the package must know of a family is declared here: nothing else asks for its name.

    Parameters
    ----------
    link : str
        One of `links`; the first by default.
    phi : float, optional
        A known dispersion; it is estimated by default.
    **known : float
        Known values of `shapes`, by name; the others are estimated.

    Attributes
    ----------
    name : str
    links : tuple of str
    kind : {"continuous", "count", "proportion", "ordinal"}
    support : Support
    dispersion : {"none", "scale", "shape"}
        What phi is. With ``"scale"`` there is a residual standard deviation sqrt(phi).
    known_phi : float, or None
        phi where it is not estimated: as given, or 1 for a family without one.
    shapes : tuple of Shape
        Parameters beside mean and dispersion.
    psi : tuple of float
        Their coordinates, of each of `shapes`: a fitted model's family has them at the estimates.
    free : tuple of int
        Which of them are estimated.
    mean_name : str
        What a mean is called: ``"prob"``, ``"rate"``.
    censors : bool
        Whether it has a survival function: responses are then times, and negative where a row is censored then.
    expected_weights : bool
        Whether W is the expected curvature, as in lme4.
    dispersion_power : float
        log phi is this times the predictor of ``dispersion=``, which is that of glmmTMB.
    edged : tuple of str
        Links under which only predictors of one sign have a density, or it breaks off at zero.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    kind: ClassVar[Kind]
    support: ClassVar[Support]
    dispersion: ClassVar[DispersionKind] = "none"
    mean_name: ClassVar[str] = "response"
    canonical: ClassVar[str] = ""
    censors: ClassVar[bool] = False
    expected_weights: ClassVar[bool] = False
    edged: ClassVar[tuple[str, ...]] = ()
    dispersion_power: ClassVar[float] = 1.0
    largest_log_mean: ClassVar[float] = _LARGEST_LOG_MEAN
    shapes: tuple[Shape, ...] = ()

    def __init__(self, link: str | None = None, phi: float | None = None, **known: float) -> None:
        name = self.links[0] if link is None else link
        if name not in self.links:
            raise FitError(f"{self.name} has the links {', '.join(self.links)}, not {name!r}.")
        if phi is not None and self.dispersion == "none":
            raise FitError(f"{self.name} has no dispersion that could be {phi!r}.")
        if phi is not None and not 0.0 < phi < np.inf:
            raise FitError(f"The dispersion of {self.name} is a positive number, not {phi!r}.")
        self.link: Link = LINKS[name]
        self.known_phi = 1.0 if self.dispersion == "none" else phi
        _check_shapes(self, known)
        self.free = tuple(i for i, shape in enumerate(self.shapes) if shape.name not in known)
        self.psi = tuple(s.coordinate(known[s.name]) if s.name in known else s.start for s in self.shapes)

    def __reduce__(self) -> tuple[Callable[..., Family], tuple[type[Family], str, float | None, dict[str, object]]]:
        # Attributes of the class's own are rebuilt, and what an instance has learned is put back.
        phi = None if self.dispersion == "none" else self.known_phi
        return _rebuilt, (type(self), self.link.name, phi, {"free": self.free, "psi": self.psi})

    def __repr__(self) -> str:
        known = "".join(f", {s.name}={v:g}" for i, (s, v) in enumerate(self._valued()) if i not in self.free)
        return f"{self.name}({self.link.name}{known})"

    def _valued(self) -> list[tuple[Shape, float]]:
        return [(s, s.value(c)) for s, c in zip(self.shapes, self.psi, strict=True)]

    @property
    def shape_values(self) -> dict[str, float]:
        """The values of its shapes, by name."""
        return {s.name: v for s, v in self._valued()}

    def at(self, coordinates: Array) -> Self:
        """The same distribution at other coordinates of the shapes that are estimated, in the order of `free`."""
        if not self.free:
            return self
        out = copy.copy(self)
        moved = dict(zip(self.free, coordinates.tolist(), strict=True))
        out.psi = tuple(moved.get(i, c) for i, c in enumerate(self.psi))
        return out

    def coordinates_of(self, values: Mapping[str, float]) -> Array:
        """Coordinates of the shapes that are estimated, in the order of `free`, by their values.

        Raises
        ------
        ParameterError
            For a value that cannot be.
        """
        own = [self.shapes[i] for i in self.free]
        for shape in own:
            if not shape.inside(values[shape.name]):
                raise ParameterError(f"{shape.name} of {self.name} cannot be {values[shape.name]:g}.")
        return np.array([shape.coordinate(float(values[shape.name])) for shape in own])

    @property
    def has_dispersion(self) -> bool:
        """Whether a dispersion phi is estimated."""
        return self.known_phi is None

    @property
    def is_scaled(self) -> bool:
        """Whether phi is a factor of the variance, so that there is a residual standard deviation sqrt(phi)."""
        return self.dispersion == "scale"

    @property
    def kinship(self) -> str:
        """What is alike of families under which one model may contain another."""
        return repr(self)

    @property
    def link_name(self) -> str:
        """What a summary calls the link."""
        return self.link.name

    @property
    def is_linear(self) -> bool:
        """Whether a model with this family is a linear mixed model."""
        return False

    @property
    def dispersion_label(self) -> str | None:
        """What a summary calls phi; None for a family without one."""
        if self.dispersion == "none":
            return None
        return f"Dispersion parameter for {self.name} family (phi{', known' if self.known_phi is not None else ''})"

    @property
    def has_edge(self) -> bool:
        """Whether only predictors on one side of zero have a density, or it breaks off there."""
        return self.link.name in self.edged

    def response(self, eta: Array, phi: Array | float) -> tuple[Array, Array]:
        """What is predicted, E[y] with few exceptions, and its slope in eta."""
        return self.link.mean(eta), self.link.slope(eta)

    def expectation(self, eta: Array, phi: Array | float) -> Array:
        """E[y], where `response` is not it."""
        return self.response(eta, phi)[0]

    def response_link(self, phi: Array | float) -> Link:
        """What leads from the predictor to `response`: the link, but for distributions that are cut off."""
        if type(self).response is Family.response:
            return self.link
        mean, slope = (partial(self._response_part, part, phi) for part in (0, 1))
        return replace(self.link, mean=mean, slope=slope)

    def _response_part(self, part: int, phi: Array | float, eta: Array) -> Array:
        return self.response(eta, phi)[part]

    def loglik(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        """Log density of every row, with all constants."""
        return self.log_kernel(y, prior, eta, phi) + self.log_constant(y, prior)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        """Log density of every row less `log_constant`."""
        return self.kernel_mean(y, prior, self.link.mean(eta), phi)

    def log_constant(self, y: Array, prior: Array) -> Array:
        """What of the log density depends on neither predictor nor dispersion, so that it is computed once: (n,)."""
        return np.zeros(1)

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        """Log density of every row with its derivatives, less what moves with nothing; `shapes` are coordinates.

        What random effects of the dispersion ask for: see :mod:`mixfit.families.curvature`.
        """
        raise NotImplementedError(f"{self.name} has no jet of its log density")

    def loglik_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        """Log density at means mu, with all constants."""
        return self.kernel_mean(y, prior, mu, phi) + self.log_constant(y, prior)

    def terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Terms:
        """Its derivatives in eta."""
        eta = self._within_range(eta)
        mu, d1, d2 = self.link.mean(eta), self.link.slope(eta), self.link.bend(eta)
        f1, f2, f3 = self.mean_derivatives(y, prior, mu, phi)
        observed = -(f2 * d1**2 + f1 * d2)
        information, information_slope = self.information(prior, mu, phi)
        expected = information * d1**2
        if self.expected_weights:
            slope = information_slope * d1**3 + 2.0 * information * d1 * d2
            return Terms(f1 * d1, expected, slope, observed, expected)
        third = f3 * d1**3 + 3.0 * f2 * d1 * d2 + f1 * self.link.twist(eta)
        return Terms(f1 * d1, observed, -third, observed, expected)

    def observed_slope(self, y: Array, prior: Array, eta: Array, phi: Array | float, terms: Terms) -> Array:
        """d(-l'') / d eta, beside the terms at eta: their slope of W where W is the observed curvature."""
        if not self.expected_weights or self.link.name == self.canonical:
            return terms.weight_slope
        mu, d1, d2 = self.link.mean(eta), self.link.slope(eta), self.link.bend(eta)
        f1, f2, f3 = self.mean_derivatives(y, prior, mu, phi)
        return -(f3 * d1**3 + 3.0 * f2 * d1 * d2 + f1 * self.link.twist(eta))

    def dispersion_terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> DispersionTerms:
        """Derivatives in log phi."""
        eta = self._within_range(eta)
        mu, d1, d2 = self.link.mean(eta), self.link.slope(eta), self.link.bend(eta)
        loglik, f1, f2 = self.dispersion_derivatives(y, prior, mu, phi)
        return DispersionTerms(loglik, f1 * d1, -(f2 * d1**2 + f1 * d2))

    @property
    def has_zero(self) -> bool:
        """Whether zero has a probability, which a predictor of further zeros adds to."""
        return self.support.closed and self.support.lower == 0.0

    def with_predicted_dispersion(self) -> Self:
        """The family where its dispersion comes from a predictor: no number for all rows is estimated."""
        out = copy.copy(self)
        out.known_phi = 1.0
        return out

    @property
    def n_tail(self) -> int:
        """How many parameters beside those of the mean are estimated."""
        return int(self.has_dispersion) + len(self.free)

    def tail_terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> tuple[DispersionTerms, ...]:
        """Derivatives in each of them: log phi, where it is estimated, before the coordinates of the shapes."""
        dispersion = (self.dispersion_terms(y, prior, eta, phi),) if self.has_dispersion else ()
        return dispersion + self.shape_terms(y, prior, eta, phi)

    def shape_terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> tuple[DispersionTerms, ...]:
        """Derivatives in the coordinate of every shape that is estimated."""
        return ()

    def coupling(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Coupling | None:
        """Curvatures of predictor and parameters together, where they are needed to step; None where they are not."""
        return None

    def _within_range(self, eta: Array) -> Array:
        """Predictors of a log link no farther than the powers of the mean stay in the range of doubles."""
        return np.clip(eta, -self.largest_log_mean, self.largest_log_mean) if self.link.name == "log" else eta

    @abstractmethod
    def check(self, y: Array, prior: Array, name: str) -> None:
        """Raise DataError where the response (n,) is outside the support, naming column and row."""

    @abstractmethod
    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        """Log density at means mu, less `log_constant`."""

    @abstractmethod
    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        """f_1, f_2, f_3: derivatives of the log density in mu."""

    @abstractmethod
    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        """I(mu) = E[-f_2] and its derivative."""

    @abstractmethod
    def unit_deviance(self, y: Array, mu: Array) -> Array:
        """Unit deviance d(y, mu) of an observation of prior weight 1."""

    @abstractmethod
    def variance(self, mu: Array, phi: Array | float) -> Array:
        """Var(y | mu) of an observation of prior weight 1."""

    @abstractmethod
    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        """Draw responses of the shape of mu; prior weights broadcast on the last axis."""

    @abstractmethod
    def start_mean(self, y: Array, prior: Array) -> Array:
        """Responses moved inside the support, to start iterations from."""

    def deviances(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        """What each row adds to the deviance; NotImplementedError where there is none."""
        return prior * self.unit_deviance(y, mu)

    def row_variance(self, prior: Array, mu: Array, phi: Array | float) -> Array:
        """Var(y | mu) of every row."""
        return self.variance(mu, phi) / prior

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        """dl, df_1, df_2 / d log phi."""
        raise NotImplementedError(f"{self.name} has no dispersion parameter")

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        """Distribution-specific variance on the scale of the link (Nakagawa, Johnson & Schielzeth 2017, table 1).

        Parameters
        ----------
        phi : float
        null_mean : callable
            Gives the mean response of the model without covariates, where the variance depends on it.
        trials : float
            Mean number of trials of a proportion.

        Returns
        -------
        float, or None
            None where none is known.
        """
        return None

    def rare_events(self, mu: Array) -> Array | None:
        """Expected events of an observation of weight 1, or non-events where they are rarer; None without events."""
        if self.kind == "continuous":
            return None
        return np.minimum(mu, 1.0 - mu) if self.kind == "proportion" else mu

    def certain_sides(self, y: Array) -> Array | None:
        """The sign of an infinite predictor that would make each response certain, shape (n,), 0 where none would.

        None for families and links that no predictor makes certain.
        """
        if self.kind == "continuous":
            return None
        if self.link.name == "log":
            return -1.0 * (y == 0.0)
        return 1.0 * (y == 1.0) - 1.0 * (y == 0.0) if self.kind == "proportion" else None

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        """A first guess of phi from fitted means."""
        return 1.0

    def start_shapes(self, y: Array, prior: Array, mu: Array) -> Array:
        """First guesses of the coordinates of the shapes that are estimated, from fitted means."""
        return np.array([self.psi[i] for i in self.free])


def _check_shapes(family: Family, known: Mapping[str, float]) -> None:
    names = [shape.name for shape in family.shapes]
    for name, value in known.items():
        if name not in names:
            has = f"the parameters {', '.join(names)}" if names else "no further parameters"
            raise FitError(f"{family.name} has {has}, and none called {name!r}.")
        if not family.shapes[names.index(name)].inside(value):
            raise FitError(f"{name} of {family.name} cannot be {value!r}.")


def _rebuilt(cls: type[Family], link: str, phi: float | None, state: dict[str, object]) -> Family:
    family = cls(link, phi)
    vars(family).update(state)
    return family
