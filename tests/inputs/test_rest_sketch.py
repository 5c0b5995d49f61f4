"""A person's rest is recognised after rescaling, reordering or rounding, and no other is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from bids_dtg.inputs.rest_sketch import (
    FEWEST_EDGES,
    NUMBERS,
    TOLERANCE,
    alike,
    sketch,
    sketch_edges,
)


def rest(seed: int, places: int = 40, frames: int = 300) -> np.ndarray:
    """Make rest that is smooth in time, with a drift and a common course that all people share."""
    rng = np.random.default_rng(seed)
    persons_signal = gaussian_filter1d(
        rng.standard_normal((places, frames)), 1.5, axis=1
    )
    persons_signal += 0.5 * gaussian_filter1d(rng.standard_normal(frames), 1.5)
    drift = np.linspace(-1, 1, frames) * np.linspace(0, 2, places)[:, None]
    return 100 + persons_signal + drift


CHANGES = {
    "the same": lambda values, rng: values,
    "another scale": lambda values, rng: values * 10,
    "a scale of each place": lambda values, rng: (
        values * rng.uniform(0.1, 9, (len(values), 1))
    ),
    "another offset": lambda values, rng: values - 1e3,
    "another order": lambda values, rng: rng.permutation(values),
    "single precision": lambda values, rng: values.astype(np.float32),
    "half precision": lambda values, rng: (values - values.mean()).astype(np.float16),
    "three digits": lambda values, rng: np.round((values - 100) / np.ptp(values), 3),
    "whole numbers": lambda values, rng: np.round(values * 1000).astype(np.int32),
    "places that do not vary": lambda values, rng: np.vstack(
        [values, np.ones_like(values)]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@given(seed=st.integers(0, 2**32))
def test_what_does_not_change_rest_does_not_change_the_sketch(change, seed):
    values = rest(seed)
    changed = CHANGES[change](values, np.random.default_rng(seed))
    sketches = [sketch(rest(seed + 1)), sketch(values)]
    assert alike(sketches, [sketch(changed)]) == [sketches[1]]


@pytest.mark.slow
def test_ten_thousand_others_are_never_taken_for_one_another():
    """Of 50 million pairs the nearest lies far beyond the tolerance."""
    sketches = [sketch(rest(seed, places=8, frames=120)) for seed in range(10_000)]
    assert len(set(sketches)) == len(sketches)
    assert nearest(sketches) > 3 * TOLERANCE
    assert not any(alike(sketches[:5000], sketches[5000:]))


def nearest(sketches: list[str]) -> float:
    """Return the distance of the two sketches that lie nearest to each other."""
    numbers = (
        np.frombuffer(bytes.fromhex("".join(sketches)), ">i2").reshape(-1, NUMBERS)
        * 1e-4
    )
    return float(KDTree(numbers).query(numbers, k=2, p=np.inf)[0][:, 1].min())


def test_rest_that_does_not_vary_is_nobodys():
    assert sketch(np.ones((5, 50))) == ""
    assert alike(["", sketch(rest(0))], ["", ""]) == ["", ""]


def edges(seed: int, regions: int = 20, common: float = 0.9) -> np.ndarray:
    """Make Fisher z of a connectome of which people have `common` of the variance in common."""
    count = regions * (regions - 1) // 2
    group, deviation = (
        np.random.default_rng(s).standard_normal(count) for s in (2**40, seed)
    )
    return 0.3 + 0.25 * (np.sqrt(common) * group + np.sqrt(1 - common) * deviation)


def permuted(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the edges of the same regions in another order."""
    regions = round((1 + np.sqrt(1 + 8 * len(values))) / 2)
    above, order = np.triu_indices(regions, 1), rng.permutation(regions)
    matrix = np.zeros((regions, regions))
    matrix[above] = matrix[above[::-1]] = values
    return matrix[np.ix_(order, order)][above]


def test_regions_without_data_do_not_hide_a_connectome():
    values, lost = edges(1, 12), np.zeros((12, 12), bool)
    lost[3] = lost[:, 3] = True
    missing = np.where(lost[np.triu_indices(12, 1)], np.nan, values)
    sketches = [sketch_edges(values), sketch_edges(missing)]
    assert alike(sketches, [sketch_edges(3 * missing)]) == [sketches[1]]
    values[0] = np.nan  # of two regions that have other edges
    assert sketch_edges(values) == ""


EDGE_CHANGES = {
    "the same": lambda values, rng: values,
    "another scale": lambda values, rng: values * 10,
    "another offset": lambda values, rng: values - 3,
    "another order of regions": permuted,
    "single precision": lambda values, rng: values.astype(np.float32),
    "four decimals": lambda values, rng: np.round(values, 4),
    "correlations of four decimals": lambda values, rng: np.arctanh(
        np.round(np.tanh(values), 4)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", EDGE_CHANGES)
@given(seed=st.integers(0, 2**32), regions=st.integers(6, 60))
def test_what_does_not_change_a_connectome_does_not_change_the_sketch(
    change, seed, regions
):
    values = edges(seed, regions)
    changed = EDGE_CHANGES[change](values, np.random.default_rng(seed))
    sketches = [sketch_edges(edges(seed + 1, regions)), sketch_edges(values)]
    assert alike(sketches, [sketch_edges(changed)]) == [sketches[1]]


@pytest.mark.slow
@pytest.mark.parametrize(("regions", "common"), [(8, 0.9), (20, 0.9), (20, 0.99)])
def test_ten_thousand_connectomes_are_never_taken_for_one_another(regions, common):
    """Though all have nine tenths of the variance over edges, or more, in common."""
    sketches = [sketch_edges(edges(seed, regions, common)) for seed in range(10_000)]
    assert len(set(sketches)) == len(sketches)
    assert nearest(sketches) > 2 * TOLERANCE
    assert not any(alike(sketches[:5000], sketches[5000:]))


@pytest.mark.parametrize(
    "values",
    [np.ones(28), np.append(np.nan, np.arange(27)), np.arange(FEWEST_EDGES - 1)],
    ids=["all the same", "missing", "few"],
)
def test_a_connectome_that_cannot_be_told_apart_is_nobodys(values):
    assert sketch_edges(values) == ""
