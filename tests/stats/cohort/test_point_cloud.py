"""Maps as points: inner products from blocks are those of the whole table, whatever it holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.stats.cohort import point_cloud
from bids_dtg.stats.cohort.point_cloud import cloud_of, joined


def tables(number: int, rows: int, columns: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    # A mean that is far from 0, as maps have: it must cost no precision.
    mean = 100 * rng.standard_normal(columns)
    return [mean + rng.standard_normal((rows, columns)) for _ in range(number)]


@given(
    number=st.integers(1, 3),
    rows=st.integers(2, 6),
    columns=st.integers(1, 40),
    gaps=st.integers(0, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_distances_are_those_of_the_columns_that_all_have(number, rows, columns, gaps, seed):
    own = tables(number, rows, columns, seed)
    rng = np.random.default_rng(seed)
    for _ in range(gaps):
        own[rng.integers(number)][rng.integers(rows), rng.integers(columns)] = np.nan
    cloud = cloud_of(own)
    whole = np.concatenate(own)
    known = whole[:, np.isfinite(whole).all(axis=0)]
    assert (cloud.columns, cloud.left_out) == (known.shape[1], columns - known.shape[1])
    apart = known[:, None] - known[None]
    wanted = np.sqrt(np.square(apart).mean(axis=2)) if known.size else np.zeros((len(whole),) * 2)
    np.testing.assert_allclose(cloud.distances(), wanted, atol=2e-3)


def test_blocks_of_columns_make_the_products_of_the_whole(monkeypatch):
    (table,) = tables(1, 5, 1000, 0)
    whole = cloud_of([table])
    monkeypatch.setattr(point_cloud, "_VALUES_AT_ONCE", 5 * 300)
    np.testing.assert_allclose(cloud_of([table]).products, whole.products, rtol=1e-5)


def test_chosen_rows_are_the_points():
    own, rows = tables(2, 6, 30, 1), np.array([4, 1, 2])
    chosen = cloud_of(own, rows)
    np.testing.assert_allclose(
        chosen.products, cloud_of([table[rows] for table in own]).products, rtol=1e-6
    )


def test_joined_clouds_have_the_columns_of_all():
    one, other = tables(2, 5, 30, 2)
    both = joined([cloud_of([one]), cloud_of([other])])
    wanted = cloud_of([np.concatenate([one, other], axis=1)])
    np.testing.assert_allclose(both.products, wanted.products, rtol=1e-5)
    assert both.columns == 60


def test_within_groups_nothing_of_their_means_is_left():
    (table,) = tables(1, 9, 30, 3)
    groups = np.array(list("aabbbcccc"))
    moved = table + 50 * np.array([ord(group) for group in groups])[:, None]
    expected = cloud_of([table]).within(groups).products
    found = cloud_of([moved]).within(groups).products
    np.testing.assert_allclose(found, expected, atol=0.05)
    means = [moved[groups == group].mean(axis=0) for group in groups]
    np.testing.assert_allclose(found, cloud_of([moved - means]).products, atol=0.05)


def test_tables_of_other_columns_are_refused():
    with pytest.raises(ValueError, match=r"same columns, found \[3, 4\]"):
        cloud_of([np.zeros((2, 3)), np.zeros((2, 4))])
