"""Ridge regression over encoded rows in closed form, by the dual: n x n instead of dim x dim."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray
from scipy import linalg

__all__ = ["MOST", "check_count", "solve"]

MOST = 20_000
"""Most rows: 3.2 GB of their products, and .2 GB beside them at dim 10,000 while they are worked out and solved."""

_BLOCK = 1024
_LEAST = 1e-9  # of alpha: below it roundings, and not alpha, would choose among the fits


def check_count(n: int) -> None:
    """ValueError for more rows than the closed form takes: to be called before they are encoded."""
    if n > MOST:
        message = f"{n} rows; the closed form takes at most {MOST}: use method='online' or 'refine' for more"
        raise ValueError(message)


def solve(rows: NDArray[numpy.int8], targets: NDArray[Any], alpha: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights float32 [k, dim] and intercepts float64 [k] for rows int8 [n, dim] and targets float64 [n, k], rows and
    targets being centred; `alpha` is times the mean square of a centred row, and 1e-9 at least: 0 is nearly the fit
    through all targets whose weights are least. ValueError for more than MOST rows, and for an alpha that is too small
    for such rows.

    Products of rows are exact: sums of whole numbers below 2^53. About n^2 dim / 2 multiplications and n^3 / 3: 10 s
    for 6,000 rows of 10,000 on two cores. Memory: 8 n^2 bytes, which are factored in place, and 16 kB a component.
    """
    n = len(rows)
    check_count(n)
    gram = numpy.empty((n, n), order="F")  # LAPACK's own order, so that it needs no copy
    for at in range(0, n, _BLOCK):
        part = rows[at : at + _BLOCK].astype(numpy.float64)
        for other in range(at, n, _BLOCK):
            product = part @ (part if other == at else rows[other : other + _BLOCK].astype(numpy.float64)).T
            gram[at : at + len(part), other : other + _BLOCK] = product
            gram[other : other + _BLOCK, at : at + len(part)] = product.T
    sums = gram.mean(axis=0)  # centring the rows centres their products
    gram -= sums[:, None]
    gram -= sums[None, :]
    gram += sums.mean()
    mean = targets.mean(axis=0)
    usual = float(numpy.trace(gram)) / n
    gram[numpy.diag_indices(n)] += max(alpha, _LEAST) * (usual if usual > 0 else 1.0)
    try:
        factor = linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError as error:
        message = f"alpha is {alpha}, too small for rows that are so much alike; use 1e-6 or more"
        raise ValueError(message) from error
    dual = linalg.cho_solve(factor, targets - mean, check_finite=False)
    dual -= dual.mean(axis=0)  # they sum to nothing, but for roundings
    weights = numpy.zeros((targets.shape[1], rows.shape[1]))
    for at in range(0, n, _BLOCK):
        weights += dual[at : at + _BLOCK].T @ rows[at : at + _BLOCK].astype(numpy.float64)
    center = rows.mean(axis=0, dtype=numpy.float64)
    return weights.astype(numpy.float32), mean - weights @ center
