r"""Self-starting curves: R's ``SSlogis`` and its kin, with starts from the data.

Each is a function of covariates and parameters. Starts come from variable projection (Golub & Pereyra 1973): given
its shape parameters every curve here is linear in the others, f = sum_j a_j(x, shape) c_j, so that a grid of shapes,
laid out in the data's own scale of x, needs one small least-squares problem a place. The best place is then polished
by least squares in all parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["CURVES", "Curve", "curve_start"]

# Places of a grid for a rate or a midpoint, in quantiles of x; of a scale, in shares of the range of x.
_QUANTILES = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
# Powers of a Weibull curve: from one that is steepest at zero to one with a plateau.
_POWERS = (0.5, 1.0, 1.5, 2.5, 4.0)
# The fast and the slow rate of a sum of two exponentials are not nearer to each other.
_APART = 1.5


@dataclass(frozen=True)
class Curve:
    """A curve that finds its own start.

    Attributes
    ----------
    name : str
    n_covariates : int
        Arguments before the parameters.
    parameters : tuple of str
        R's names of the parameters, in order.
    function : callable
        Of covariates and parameters, arrays or hyper-dual numbers.
    shapes : callable
        Places of the grid, as tuples, from the last covariate.
    basis : callable
        Columns a_j of the curve given covariates and a place.
    whole : callable
        All parameters from the coefficients c and a place.
    """

    name: str
    n_covariates: int
    parameters: tuple[str, ...]
    function: Callable[..., Any]
    shapes: Callable[[Array], Iterable[tuple[float, ...]]]
    basis: Callable[..., list[Any]]
    whole: Callable[[Array, tuple[float, ...]], Sequence[float]]

    def __call__(self, *arguments: Any) -> Any:
        """The curve at covariates and parameters."""
        return self.function(*arguments)


def curve_start(curve: Curve, covariates: Sequence[Array], y: Array) -> Array | None:
    """Parameters of the grid's best place, shape (P,); None where none of its places is finite.

    Examples
    --------
    >>> x = np.linspace(0.5, 10.0, 20)
    >>> curve_start(CURVES["SSmicmen"], [x], 5.0 * x / (2.0 + x)).round(1).tolist()
    [5.3, 2.4]
    """
    best, least = None, np.inf
    with np.errstate(all="ignore"):
        for shape in curve.shapes(covariates[-1]):
            columns = np.column_stack(np.broadcast_arrays(*curve.basis(*covariates, *shape), y))
            if not np.isfinite(columns).all():
                continue
            coefficients = np.linalg.lstsq(columns[:, :-1], y, rcond=None)[0]
            squares = float(((y - columns[:, :-1] @ coefficients) ** 2).sum())
            parameters = np.asarray(curve.whole(coefficients, shape), dtype=float)
            if squares < least and np.isfinite(parameters).all():
                best, least = parameters, squares
    return best


def _range(x: Array) -> float:
    return float(np.ptp(x)) or 1.0


def _middles(x: Array) -> list[float]:
    return np.quantile(x, _QUANTILES).tolist()


def _log_rates(x: Array) -> list[tuple[float]]:
    """log of 1 / scale, the scales shares of the range."""
    return [(-float(np.log(share * _range(x))),) for share in _SHARES]


def _sigmoid_shapes(x: Array) -> Iterable[tuple[float, ...]]:
    scales = [share * _range(x) for share in _SHARES]
    return product(_middles(x), [*scales, *(-s for s in scales)])


def _sigmoid(x: Any, middle: Any, scale: Any) -> Any:
    return 1.0 / (1.0 + np.exp((middle - x) / scale))


def _decay(x: Any, log_rate: Any) -> Any:
    return np.exp(-np.exp(log_rate) * x)


def _two_rates(x: Array) -> Iterable[tuple[float, ...]]:
    rates = [rate for (rate,) in _log_rates(x)]
    return [(fast, slow) for fast, slow in product(rates, rates) if fast > slow + np.log(_APART)]


def _first_order(dose: Any, x: Any, elimination: Any, absorption: Any) -> Any:
    """The concentration of a dose whose clearance is one: SSfol without its last parameter."""
    ke, ka = np.exp(elimination), np.exp(absorption)
    return dose * ke * ka * (np.exp(-ke * x) - np.exp(-ka * x)) / (ka - ke)


def _gompertz_shapes(x: Array) -> Iterable[tuple[float, ...]]:
    """b2 and b3 of a curve that is steepest at m, where b2 b3^m = 1."""
    for middle, share in product(_middles(x), _SHARES):
        b3 = float(np.exp(-1.0 / (share * _range(x))))
        yield b3**-middle, b3


def _weibull_shapes(x: Array) -> Iterable[tuple[float, ...]]:
    positive = x[x > 0.0]
    middles = _middles(positive) if len(positive) else [1.0]
    return [(-power * float(np.log(middle)), power) for middle, power in product(middles, _POWERS)]


def _asymptote(c: Array, shape: tuple[float, ...]) -> Sequence[float]:
    return [c[0], *shape]


_ALL = (
    Curve(
        "SSlogis",
        1,
        ("Asym", "xmid", "scal"),
        lambda x, asym, xmid, scal: asym * _sigmoid(x, xmid, scal),
        _sigmoid_shapes,
        lambda x, xmid, scal: [_sigmoid(x, xmid, scal)],
        _asymptote,
    ),
    Curve(
        "SSfpl",
        1,
        ("A", "B", "xmid", "scal"),
        lambda x, a, b, xmid, scal: a + (b - a) * _sigmoid(x, xmid, scal),
        lambda x: product(_middles(x), [share * _range(x) for share in _SHARES]),
        lambda x, xmid, scal: [1.0 - _sigmoid(x, xmid, scal), _sigmoid(x, xmid, scal)],
        lambda c, shape: [*c, *shape],
    ),
    Curve(
        "SSgompertz",
        1,
        ("Asym", "b2", "b3"),
        lambda x, asym, b2, b3: asym * np.exp(-b2 * b3**x),
        _gompertz_shapes,
        lambda x, b2, b3: [np.exp(-b2 * b3**x)],
        _asymptote,
    ),
    Curve(
        "SSasymp",
        1,
        ("Asym", "R0", "lrc"),
        lambda x, asym, r0, lrc: asym + (r0 - asym) * _decay(x, lrc),
        _log_rates,
        lambda x, lrc: [1.0 - _decay(x, lrc), _decay(x, lrc)],
        lambda c, shape: [*c, *shape],
    ),
    Curve(
        "SSasympOff",
        1,
        ("Asym", "lrc", "c0"),
        lambda x, asym, lrc, c0: asym * (1.0 - _decay(x - c0, lrc)),
        lambda x: ((rate, c0) for (rate,) in _log_rates(x) for c0 in [float(x.min()) - _range(x) * s for s in _SHARES]),
        lambda x, lrc, c0: [1.0 - _decay(x - c0, lrc)],
        _asymptote,
    ),
    Curve(
        "SSasympOrig",
        1,
        ("Asym", "lrc"),
        lambda x, asym, lrc: asym * (1.0 - _decay(x, lrc)),
        _log_rates,
        lambda x, lrc: [1.0 - _decay(x, lrc)],
        _asymptote,
    ),
    Curve(
        "SSbiexp",
        1,
        ("A1", "lrc1", "A2", "lrc2"),
        lambda x, a1, lrc1, a2, lrc2: a1 * _decay(x, lrc1) + a2 * _decay(x, lrc2),
        _two_rates,
        lambda x, lrc1, lrc2: [_decay(x, lrc1), _decay(x, lrc2)],
        lambda c, shape: [c[0], shape[0], c[1], shape[1]],
    ),
    Curve(
        "SSfol",
        2,
        ("lKe", "lKa", "lCl"),
        lambda dose, x, lke, lka, lcl: _first_order(dose, x, lke, lka) * np.exp(-lcl),
        lambda x: [(slow, fast) for fast, slow in _two_rates(x)],
        lambda dose, x, lke, lka: [_first_order(dose, x, lke, lka)],
        lambda c, shape: [*shape, -np.log(c[0])],
    ),
    Curve(
        "SSmicmen",
        1,
        ("Vm", "K"),
        lambda x, vm, k: vm * x / (k + x),
        lambda x: [(middle,) for middle in _middles(x)],
        lambda x, k: [x / (k + x)],
        _asymptote,
    ),
    Curve(
        "SSweibull",
        1,
        ("Asym", "Drop", "lrc", "pwr"),
        lambda x, asym, drop, lrc, pwr: asym - drop * np.exp(-np.exp(lrc) * x**pwr),
        _weibull_shapes,
        lambda x, lrc, pwr: [np.ones_like(x), -np.exp(-np.exp(lrc) * x**pwr)],
        lambda c, shape: [*c, *shape],
    ),
)
CURVES: dict[str, Curve] = {curve.name: curve for curve in _ALL}
