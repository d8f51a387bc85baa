"""The trailing block is behind an interface: another way to hold it gives the same factor, and the same models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import block_diag
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

import mixfit
import mixfit.glmm.problem
import mixfit.lmm.assemble
from mixfit.factor.plan import make_plan
from mixfit.factor.trailing import Cost
from tests.factor.cases import WIDTHS, check_derivatives, check_inverse, check_solves, make_case
from tests.random_designs import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]

CROSSED = [p for p in PATTERNS if "crossed" in p]


@dataclass(frozen=True, eq=False)
class SolvedBlock:
    """S solved by SuperLU without a root: a half is the right-hand side above its solution."""

    columns: TrailingColumns
    patterns: Mapping[int, Crossed]
    gram: Gram

    @property
    def cost(self) -> Cost:
        m = float(self.columns.m)
        return Cost(m**3, 8.0 * m * m, m * m)

    def refill(self, gram: Gram) -> SolvedBlock:
        return replace(self, gram=gram)

    def factorize(self, templates: Sequence[Array], rows: Mapping[int, Array]) -> SolvedFactor:
        c = self.columns
        P = np.zeros((c.m, c.m))
        for i in c.factors:
            own = P[c.own(i), c.own(i)].reshape(c.k[i], c.width[i], c.k[i], c.width[i])
            np.einsum("aqbq->abq", own)[:] = self.gram.diagonal[i]
            P[c.own(i), c.own(i)] = own.reshape(c.k[i] * c.width[i], -1)
        for (i, j), pairs in self.gram.pairs.items():
            if i in c.offset and j in c.offset:
                part = np.zeros((c.k[i], c.width[i], c.k[j], c.width[j]))
                part[:, pairs.row, :, pairs.col] = pairs.values.transpose(2, 0, 1)
                P[c.own(i), c.own(j)] = part.reshape(c.k[i] * c.width[i], -1)
                P[c.own(j), c.own(i)] = P[c.own(i), c.own(j)].T
        for i, y in rows.items():
            P -= self.product(i, y, y)
        Lambda = block_diag(*(np.kron(templates[j], np.eye(c.width[j])) for j in c.factors))
        return SolvedFactor(self, P, Lambda)

    def dense(self, i: int, rows: Array) -> Array:
        pattern = self.patterns[i]
        out = np.zeros((len(rows), pattern.n_levels, self.columns.m))
        out[:, pattern.level, pattern.column] = rows
        return out

    def product(self, i: int, left: Array, right: Array) -> Array:
        return np.einsum("aqm,aqn->mn", self.dense(i, left), self.dense(i, right))


@dataclass(frozen=True, eq=False)
class SolvedFactor:
    block: SolvedBlock
    P: Array
    Lambda: Array

    @cached_property
    def S(self) -> Array:
        return np.eye(len(self.P)) + self.Lambda.T @ self.P @ self.Lambda

    @cached_property
    def lu(self):
        return splu(csc_array(self.S), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

    @property
    def logdet(self) -> float:
        return float(np.log(np.abs(self.lu.U.diagonal())).sum())

    def forward(self, rhs: Array) -> Array:
        return np.concatenate([rhs, self.lu.solve(np.ascontiguousarray(rhs))])

    def dual(self, half: Array) -> Array:
        d, x = np.split(half, 2)
        return 0.5 * np.concatenate([x, d])

    def backward(self, half: Array) -> Array:
        return np.split(half, 2)[1]

    def inverse(self) -> SolvedInverse:
        return SolvedInverse(self, self.lu.solve(np.eye(len(self.P))))

    def derivatives(self) -> SolvedDerivatives:
        return SolvedDerivatives(self, {})


@dataclass(frozen=True, eq=False)
class SolvedInverse:
    factor: SolvedFactor
    S_inverse: Array

    @property
    def Q(self) -> Array:
        return self.factor.Lambda @ self.S_inverse @ self.factor.Lambda.T

    def inverse_sums(self, j: int) -> Array:
        return self.levels(self.S_inverse, j).sum(axis=2)

    def projected_sums(self, j: int) -> Array:
        P = self.factor.P
        return self.levels(P - P @ self.Q @ P, j).sum(axis=2)

    def row_sums(self, i: int, rows: Array) -> Array:
        y = self.factor.block.dense(i, rows)
        return np.einsum("aqm,mn,bqn->ab", y, self.Q, y)

    def rows(self, i: int, rows: Array) -> Array:
        pattern = self.factor.block.patterns[i]
        product: Array = self.factor.block.dense(i, rows) @ self.Q
        return product[:, pattern.level, pattern.column]

    def blocks(self, j: int) -> Array:
        return self.levels(self.Q, j)

    def between(self, i: int, j: int) -> Array:
        block = self.factor.block
        c, pairs = block.columns, block.gram.pairs[i, j]
        table = self.Q[c.own(i), c.own(j)].reshape(c.k[i], c.width[i], c.k[j], c.width[j])
        return table[:, pairs.row, :, pairs.col].transpose(1, 2, 0)

    def levels(self, table: Array, j: int) -> Array:
        c = self.factor.block.columns
        return np.einsum("aqbq->abq", table[c.own(j), c.own(j)].reshape(c.k[j], c.width[j], c.k[j], c.width[j]))


@dataclass(frozen=True, eq=False)
class SolvedDerivatives:
    factor: SolvedFactor
    slopes: dict[int, Array]

    def move(self, x: int, i: int, left: Array, right: Array) -> None:
        product = self.factor.block.product(i, left, right)
        self.slopes[x] = self.slopes.get(x, 0.0) - 0.5 * (product + product.T)

    def inner(self, i: int, left: Array, right: Array) -> float:
        return float(np.vdot(self.factor.inverse().Q, self.factor.block.product(i, left, right)))

    def finish(self, directions: Mapping[int, Mapping[int, Array]], size: int) -> tuple[Array, Array]:
        c, P = self.factor.block.columns, self.factor.P
        Sigma = self.factor.Lambda @ self.factor.Lambda.T
        W = np.linalg.inv(np.eye(c.m) + Sigma @ P)
        D = np.zeros((size, c.m, c.m))
        for j, own in directions.items():
            for x, d in own.items():
                D[x, c.own(j), c.own(j)] = np.kron(d, np.eye(c.width[j]))
        dP = np.zeros((size, c.m, c.m))
        for x, slope in self.slopes.items():
            dP[x] = slope
        A = W @ (D @ P + Sigma @ dP)
        mixed = np.einsum("ab,xbc,yca->xy", W, D, dP)
        return np.trace(A, axis1=1, axis2=2), mixed + mixed.T - np.einsum("xab,yba->xy", A, A)


def solved_block(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> SolvedBlock:
    return SolvedBlock(columns, patterns, gram)


@pytest.mark.parametrize("zero", [0.0, 0.4])
@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("pattern", CROSSED)
def test_another_block_gives_the_same_factor(pattern: str, widths: tuple[int, ...], zero: float) -> None:
    case = make_case(8, pattern, 60, widths, zero, make_trailing=solved_block)
    assert isinstance(case.factor.trailing, SolvedFactor)
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)


def crossed_data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 240
    frame = pd.DataFrame({"a": rng.integers(0, 20, n), "b": rng.integers(0, 8, n), "x": rng.normal(size=n)})
    eta = frame.x * (1 + rng.normal(size=8)[frame.b]) + rng.normal(size=20)[frame.a] + rng.normal(size=8)[frame.b]
    return frame.assign(y=eta + rng.normal(size=n), z=(rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int))


def answers(fit: Any) -> dict[str, Array]:
    """What every part of the factor has a share in."""
    new = crossed_data().head(5)
    frames = {
        "params": fit.params,
        "bse": fit.bse,
        "varcorr": fit.varcorr().to_frame()["vcov"],
        "predict": fit.predict(new, se=True),
        "influence": fit.cooks_distance(by="a"),
        "hatvalues": fit.hatvalues(),
        **{f"ranef {name}": frame for name, frame in fit.ranef(condsd=True).items()},
    }
    return {"llf": np.array([fit.llf]), **{name: f.to_numpy(dtype=float) for name, f in frames.items()}}


def linear() -> dict[str, Array]:
    fit = mixfit.mixed("y ~ x + (1|a) + (x|b)", crossed_data()).fit()
    return {**answers(fit), "kenward-roger": fit.ttest(ddf="kenward-roger").frame.to_numpy(dtype=float)}


def generalized() -> dict[str, Array]:
    return answers(mixfit.mixed("z ~ x + (1|a) + (1|b)", crossed_data(), family="binomial").fit())


@pytest.mark.parametrize("model", [linear, generalized])
def test_another_block_gives_the_same_models(
    model: Callable[[], dict[str, Array]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = model()
    made: list[TrailingColumns] = []

    def make_trailing(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> SolvedBlock:
        made.append(columns)
        return SolvedBlock(columns, patterns, gram)

    for room in (mixfit.lmm.assemble, mixfit.glmm.problem):
        monkeypatch.setattr(room, "make_plan", partial(make_plan, make_trailing=make_trailing))
    for name, values in model().items():
        assert_allclose(values, ours[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert made
