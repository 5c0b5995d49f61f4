"""Group ICA recovers simulated networks, in any order and any number of parts."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts import group_ica
from bids_dtg.contrasts.group_ica import group_maps, reduce_rest
from bids_dtg.errors import DatasetError

NETWORKS, PLACES = 3, 240


def people(count=5, frames=300, seed=0):
    """Rest in which three networks of other places go up and down; some have a silent place."""
    rng = np.random.default_rng(seed)
    maps = (np.random.default_rng(1).random((NETWORKS, PLACES)) < 0.06).astype(float)
    rest_of_people = []
    for number in range(count):
        courses = rng.laplace(size=(NETWORKS, frames))
        rest = maps.T @ courses + 0.5 * rng.standard_normal((PLACES, frames))
        rest[number] = 7.0
        rest_of_people.append(100 * rest)
    return maps, rest_of_people


def ica(rest, rois=NETWORKS, seed=0):
    maps, (record,) = group_maps(
        [reduce_rest(series) for series in rest], (rois,), seed
    )
    return maps, record


def test_networks_that_were_planted_are_found():
    maps, rest = people()
    planted, record = ica(rest)
    assert (record["people"], record["rois"], record["converged"]) == (5, 3, True)
    likeness = np.abs(np.corrcoef(maps, planted)[:NETWORKS, NETWORKS:])
    assert likeness.max(axis=1).min() > 0.9
    assert ((planted**3).sum(axis=1) > 0).all()


def test_the_order_of_people_does_not_matter():
    _, rest = people()
    in_order, _ = ica(rest)
    reversed_order, _ = ica(rest[::-1])
    np.testing.assert_allclose(in_order, reversed_order, atol=1e-3)
    np.testing.assert_array_equal(in_order, ica(rest)[0])


def test_runs_of_a_person_are_joined_and_more_frames_than_places_are_no_other():
    _, rest = people(frames=600)
    long, halves = [], []
    for series in rest:
        long.append(reduce_rest(series))
        parts = None
        for part in np.split(series, 12, axis=1):  # of 50 frames, fewer than places
            parts = reduce_rest(part, parts)
        halves.append(parts)
    likeness = np.corrcoef(
        *(group_maps(reduced, (NETWORKS,), seed=0)[0] for reduced in (long, halves))
    )
    assert np.abs(likeness[:NETWORKS, NETWORKS:]).max(axis=1).min() > 0.99


@pytest.mark.slow
def test_some_of_the_places_serve_for_all(monkeypatch):
    """Maps by one place of eight and by all, of ten networks that do not overlap much."""
    rng = np.random.default_rng(2)
    networks = (rng.random((10, 16_000)) < 0.06) * rng.random((10, 16_000))
    rest = []
    for _ in range(4):
        persons_networks = networks * (1 + 0.3 * rng.standard_normal(networks.shape))
        series = persons_networks.T @ rng.standard_normal((10, 100))
        rest.append(reduce_rest(series + 0.3 * rng.standard_normal(series.shape)))
    all_of_them, _ = group_maps(rest, (10,), seed=0)
    monkeypatch.setattr(group_ica, "_PLACES", 2000)
    some, _ = group_maps(rest, (10,), seed=0)
    likeness = np.abs(np.corrcoef(all_of_them, some)[:10, 10:])
    assert likeness.max(axis=1).min() > 0.98
    np.testing.assert_allclose(some.std(axis=1), 1, atol=1e-5)


def test_what_cannot_be_is_refused():
    _, rest = people(count=1, frames=5)
    with pytest.raises(DatasetError, match="too few for 20 ROI maps"):
        ica(rest, rois=20)
