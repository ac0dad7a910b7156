"""The assignment problem by Munkres' algorithm, ties decided in row-major order.

``scipy.optimize.linear_sum_assignment`` is faster and finds an equally good assignment, but where
several are equally good (plateaus of a saturated map) it may not find the one that trt_pose's
parser finds. Starring, priming and covering zeros in row-major order, in float32, does.

Source: J. Munkres, "Algorithms for the assignment and transportation problems", 1957, in the
extended form for rectangular tables of F. Bourgeois and J.-C. Lassalle, 1971.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from posert.types import Float32, Int64

Mask: TypeAlias = npt.NDArray[np.bool_]

_NONE = -1


def munkres(scores: Float32) -> tuple[Int64, Int64]:
    """Rows and columns of the one-to-one pairs that maximise the sum of ``scores`` (rows, columns).

    The smaller side is paired completely. ``scores`` must be finite.
    """
    table = _Table(scores)
    table.star_free_zeros()
    while table.pairs < min(scores.shape):
        table.star_one_more()
    rows = np.flatnonzero(table.star_of_row != _NONE)
    return rows, table.star_of_row[rows]


class _Table:
    """Costs being reduced to zeros, starred zeros (the pairs so far) and primed ones."""

    def __init__(self, scores: Float32) -> None:
        rows, columns = scores.shape
        self.costs = -scores
        if rows <= columns:
            self.costs = self.costs - self.costs.min(axis=1, keepdims=True)
        if rows >= columns:
            self.costs = self.costs - self.costs.min(axis=0)
        self.star_of_row = np.full(rows, _NONE)
        self.star_of_column = np.full(columns, _NONE)

    @property
    def pairs(self) -> int:
        return int((self.star_of_row != _NONE).sum())

    def star_free_zeros(self) -> None:
        """Star each zero that has no star in its row or column yet."""
        for row, column in np.argwhere(self.costs == 0).tolist():
            if self.star_of_row[row] == _NONE and self.star_of_column[column] == _NONE:
                self._star(row, column)

    def star_one_more(self) -> None:
        """Prime zeros, making new ones when they run out, until one can be starred."""
        prime_of_row = np.full(len(self.star_of_row), _NONE)
        covered_rows = np.zeros(len(self.star_of_row), bool)
        covered_columns = self.star_of_column != _NONE
        while True:
            for row in np.flatnonzero(~covered_rows).tolist():
                zeros = np.flatnonzero((self.costs[row] == 0) & ~covered_columns)
                if not len(zeros):
                    continue
                prime_of_row[row] = zeros[0]
                if self.star_of_row[row] == _NONE:
                    self._flip(row, prime_of_row)
                    return
                covered_rows[row] = True
                covered_columns[self.star_of_row[row]] = False
            self._make_zero(covered_rows, covered_columns)

    def _make_zero(self, covered_rows: Mask, covered_columns: Mask) -> None:
        least = self.costs[np.ix_(~covered_rows, ~covered_columns)].min()
        self.costs[covered_rows] += least
        self.costs[:, ~covered_columns] -= least

    def _flip(self, row: int, prime_of_row: Int64) -> None:
        """Star the prime of ``row``; a star it displaces gives way to the prime of its own row."""
        while row != _NONE:
            column = prime_of_row[row]
            displaced = self.star_of_column[column]
            self._star(row, column)
            row = displaced

    def _star(self, row: int, column: int) -> None:
        self.star_of_row[row] = column
        self.star_of_column[column] = row
