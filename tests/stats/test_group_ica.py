"""Group ICA finds networks that were planted, whoever comes first and in however many parts."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.errors import DatasetError
from bids_dtg.stats.group_ica import GroupIca

NETWORKS, PLACES = 3, 240


def people(count=5, frames=300, seed=0):
    """Rest in which three networks of other places go up and down; some have a silent place."""
    rng = np.random.default_rng(seed)
    maps = (np.random.default_rng(1).random((NETWORKS, PLACES)) < 0.06).astype(float)
    made = []
    for number in range(count):
        courses = rng.laplace(size=(NETWORKS, frames))
        rest = maps.T @ courses + 0.5 * rng.standard_normal((PLACES, frames))
        rest[number] = 7.0
        made.append(100 * rest)
    return maps, made


def found(rest, rois=NETWORKS, seed=0):
    ica = GroupIca()
    for own in rest:
        ica.add(own)
    return ica.maps(rois, seed)


def test_networks_that_were_planted_are_found():
    maps, rest = people()
    made, record = found(rest)
    assert (record.people, record.rois, record.converged) == (5, 3, True)
    likeness = np.abs(np.corrcoef(maps, made)[:NETWORKS, NETWORKS:])
    assert likeness.max(axis=1).min() > 0.9
    assert ((made**3).sum(axis=1) > 0).all()


def test_the_order_of_people_does_not_matter():
    _, rest = people()
    one, _ = found(rest)
    other, _ = found(rest[::-1])
    np.testing.assert_allclose(one, other, atol=1e-3)
    np.testing.assert_array_equal(one, found(rest)[0])


def test_more_frames_than_places_and_fewer_give_the_same():
    _, rest = people(frames=600)
    long = GroupIca(first=NETWORKS)
    halves = GroupIca(first=NETWORKS)
    for own in rest:
        long.add(own)
        for part in np.split(own, 12, axis=1):  # of 50 frames, fewer than places
            halves.add(part)
    likeness = np.corrcoef(long.maps(NETWORKS, 0)[0], halves.maps(NETWORKS, 0)[0])
    assert np.abs(likeness[:NETWORKS, NETWORKS:]).max(axis=1).min() > 0.99


def test_what_cannot_be_is_refused():
    _, rest = people(count=1, frames=5)
    with pytest.raises(DatasetError, match="Expected: as many as --rois 20"):
        found(rest, rois=20)
    with pytest.raises(DatasetError, match="nobody's rest"):
        found([])
    with pytest.raises(ValueError, match="rest of 59 places, not 240"):
        found([rest[0], rest[0][:59]])
