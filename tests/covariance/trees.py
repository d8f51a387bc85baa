"""Random trees and pedigrees, with their covariances by definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def random_tree(n: int, seed: int, *, ultrametric: bool = False) -> tuple[str, pd.DataFrame]:
    """Newick text of n tips, some of them under one node, and what each pair shares of its way from the root."""
    rng = np.random.default_rng(seed)
    # Text, tips, their covariance, and the height of the node above them.
    parts = [(f"t{i}", [f"t{i}"], np.zeros((1, 1)), 0.0) for i in range(n)]
    height = 0.0
    while len(parts) > 1:
        height += rng.exponential()
        joined = [parts.pop(rng.integers(len(parts))) for _ in range(min(len(parts), int(rng.integers(2, 4))))]
        texts, tips, k = [], [], np.zeros((0, 0))
        for text, below, own, at in joined:
            length = height - at if ultrametric else rng.exponential() + 0.01
            texts.append(f"{text}:{length!r}")
            tips += below
            whole = np.zeros((len(tips), len(tips)))
            whole[: len(k), : len(k)], whole[len(k) :, len(k) :] = k, own + length
            k = whole
        parts.append((f"({', '.join(texts)})", tips, k, height))
    text, tips, k, _ = parts[0]
    return text + ";", pd.DataFrame(k, index=tips, columns=tips)


def random_pedigree(n: int, seed: int, founders: int = 6) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Animals in random order, some with unknown parents, and A by the tabular method."""
    rng = np.random.default_rng(seed)
    sire, dam = np.full(n, -1), np.full(n, -1)
    is_male = rng.integers(0, 2, n).astype(bool)
    is_male[:2] = True, False
    for i in range(founders, n):
        males, females = np.flatnonzero(is_male[:i]), np.flatnonzero(~is_male[:i])
        sire[i] = rng.choice(males[-4:]) if rng.random() < 0.9 else -1
        dam[i] = rng.choice(females[-4:]) if rng.random() < 0.9 else -1
    a = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            a[i, j] = a[j, i] = 0.5 * sum(a[p, j] for p in (sire[i], dam[i]) if p >= 0)
        a[i, i] = 1.0 + (0.5 * a[sire[i], dam[i]] if min(sire[i], dam[i]) >= 0 else 0.0)
    names = np.array([f"a{i:03d}" for i in range(n)], dtype=object)
    known = np.append(names, None)
    table = pd.DataFrame({"id": names, "sire": known[sire], "dam": known[dam]})
    return table.iloc[rng.permutation(n)].reset_index(drop=True), pd.DataFrame(a, index=names, columns=names)
