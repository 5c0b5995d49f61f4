"""Maps as points: all that distances between them are made of, from blocks of columns.

A map has more places than there are people. Inner products of the points' deviations from their
mean, (points, points), hold every distance and every principal component, and take the memory of
the points alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Table = NDArray[np.floating[Any]]
_VALUES_AT_ONCE = 2**24  # of a block of columns


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points by the inner products of their deviations from a mean."""

    products: Values  # (points, points), summed over columns
    columns: int  # that were used: those in which every point has a value
    left_out: int  # columns in which some point has none

    @property
    def points(self) -> int:
        """How many there are."""
        return len(self.products)

    @property
    def total(self) -> float:
        """Sum over points of the squared distance from the mean."""
        return float(np.trace(self.products))

    def distances(self) -> Values:
        """Return the distance of each two points, (points, points): root mean square."""
        squares = np.diag(self.products)
        apart = squares[:, None] + squares - 2 * self.products
        # Rounding leaves a little of what is 0, on either side.
        np.fill_diagonal(apart, 0.0)
        distances: Values = np.sqrt(np.maximum(apart, 0.0) / max(self.columns, 1))
        return distances

    def of(self, rows: NDArray[np.integer[Any]]) -> PointCloud:
        """Return some of the points, as deviations from their own mean.

        Examples
        --------
        >>> cloud_of([np.array([[0.0], [2.0], [9.0]])]).of(np.array([0, 1])).total
        2.0
        """
        own = PointCloud(self.products[np.ix_(rows, rows)], self.columns, self.left_out)
        return own.within(np.zeros(len(rows)))

    def within(self, groups: NDArray[Any]) -> PointCloud:
        """Return the cloud with each group's own mean taken off its points.

        Parameters
        ----------
        groups
            (points,), what group each is of.

        Examples
        --------
        >>> cloud = cloud_of([np.array([[0.0], [1.0], [10.0], [11.0]])])
        >>> cloud.within(np.array([0, 0, 1, 1])).total
        1.0
        """
        codes = np.unique(groups, return_inverse=True)[1]
        member = np.zeros((codes.max() + 1, self.points))
        member[codes, np.arange(self.points)] = 1
        member /= member.sum(axis=1, keepdims=True)
        by_row = self.products - (member @ self.products)[codes]
        return PointCloud(by_row - (by_row @ member.T)[:, codes], self.columns, self.left_out)


def cloud_of(tables: Sequence[Table], rows: NDArray[np.integer[Any]] | None = None) -> PointCloud:
    """Return the rows of tables as points of one cloud, the tables one below the other.

    Parameters
    ----------
    tables
        Each (rows, columns) with the same columns; memory-mapped, if large. Columns in which
        some point has no finite value are left out.
    rows
        Of each table, those that are points; None: all.

    Raises
    ------
    ValueError
        If tables differ in their columns.

    Notes
    -----
    Products are of 32-bit deviations from the points' mean, added up in 64 bits: what all points
    share costs no precision.

    Examples
    --------
    >>> cloud = cloud_of([np.array([[0.0, 1.0], [2.0, 1.0], [4.0, np.nan]])])
    >>> cloud.columns, cloud.left_out, cloud.total
    (1, 1, 8.0)
    """
    chosen = [np.arange(len(table)) if rows is None else rows for table in tables]
    points = sum(map(len, chosen))
    products, used = np.zeros((points, points)), 0
    for blocks in column_blocks(tables, points):
        block = np.concatenate(
            [own[row] for own, row in zip(blocks, chosen, strict=True)], dtype=np.float64
        )
        block = block[:, np.isfinite(block).all(axis=0)]
        used += block.shape[1]
        deviations = (block - block.mean(axis=0)).astype(np.float32)
        products += deviations @ deviations.T
    return PointCloud(products, used, tables[0].shape[1] - used)


def joined(clouds: Sequence[PointCloud]) -> PointCloud:
    """Return the cloud of the same points with all clouds' columns, one beside the other.

    Examples
    --------
    >>> one, other = cloud_of([np.array([[0.0], [2.0]])]), cloud_of([np.array([[1.0], [5.0]])])
    >>> joined([one, other]).total, joined([one, other]).columns
    (10.0, 2)
    """
    products = clouds[0].products.copy()
    for cloud in clouds[1:]:
        products += cloud.products
    columns, left_out = (sum(c.columns for c in clouds), sum(c.left_out for c in clouds))
    return PointCloud(products, columns, left_out)


def column_blocks(tables: Sequence[Table], points: int) -> Iterator[list[Table]]:
    """Yield the tables a block of columns at a time, each (rows, columns of the block).

    Parameters
    ----------
    tables
        Each (rows, columns) with the same columns.
    points
        Of all tables that are used at once: they decide how wide a block is.

    Raises
    ------
    ValueError
        If tables differ in their columns.
    """
    columns = {table.shape[1] for table in tables}
    if len(columns) != 1:
        raise ValueError(f"tables of one cloud have the same columns, found {sorted(columns)}")
    (columns_each,) = columns
    step = max(_VALUES_AT_ONCE // max(points, 1), 256)
    for start in range(0, columns_each, step):
        yield [np.asarray(table[:, start : start + step]) for table in tables]
