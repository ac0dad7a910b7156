"""All tables of a batch assigned at once: what SciPy or Munkres finds for each table alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from posert.postprocess.group import assign
from posert.postprocess.links import Pairs
from posert.postprocess.munkres import munkres
from posert.types import Float32, Int64


def random_tables(seed: int) -> tuple[Pairs, list[Float32]]:
    """Tables of few levels, so with many ties; empty ones and ones without any link among them."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(0, 8, (12, 2))
    levels = int(rng.integers(2, 30))
    tables = [
        (rng.integers(-2, levels, shape) / levels * (rng.random() < 0.8)).astype(np.float32)
        for shape in shapes.tolist()
    ]
    sizes = shapes.prod(axis=1)
    nothing = np.zeros(sizes.sum(), np.int64)  # which peaks they are is of no interest
    return Pairs(np.repeat(np.arange(len(shapes)), sizes), nothing, nothing, shapes), tables


def chosen_of(pairs: Pairs, chosen: Int64, number: int) -> list[tuple[int, int]]:
    """Row and column of each chosen pair of a table."""
    begin = int(pairs.shapes[:number].prod(axis=1).sum())
    columns = int(pairs.shapes[number, 1])
    of_table = chosen[pairs.tables[chosen] == number] - begin
    return [divmod(position, columns) for position in of_table.tolist()]


def linked(table: Float32, rows: Int64, columns: Int64, threshold: float) -> list[tuple[int, int]]:
    above = table[rows, columns] > np.float32(threshold)
    return list(zip(rows[above].tolist(), columns[above].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_each_table_is_assigned_as_scipy_assigns_it_alone(seed: int, threshold: float) -> None:
    pairs, tables = random_tables(seed)
    scores = np.concatenate([table.ravel() for table in tables])
    chosen = assign(pairs, scores, threshold)
    assert (np.diff(chosen) > 0).all()
    for number, table in enumerate(tables):
        wanted = linear_sum_assignment(table, maximize=True)
        assert chosen_of(pairs, chosen, number) == linked(table, *wanted, threshold)


@pytest.mark.parametrize("seed", range(50))
def test_two_peaks_that_may_be_exchanged_are_paired_as_munkres_pairs_them(seed: int) -> None:
    """Two equal rows: whichever is paired, exchanging their columns is as good."""
    pairs, tables = random_tables(seed)
    for number, table in enumerate(tables):
        noise = np.random.default_rng([seed, number]).random(table.shape, np.float32)
        tables[number] = np.concatenate([noise[:1], noise[:-1]])  # no ties but these
    scores = np.concatenate([table.ravel() for table in tables])
    chosen = assign(pairs, scores, 0.1, reference=True)
    for number, table in enumerate(tables):
        wanted = munkres(table) if table.size else (np.arange(0), np.arange(0))
        assert chosen_of(pairs, chosen, number) == linked(table, *wanted, 0.1)
