"""People as arrays: means over segments and people, gaps and a cheap identity."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.people import MeanMaps, Person, mean_maps, predicted_maps

NAN = np.nan


def person(maps, seconds=(100.0, 300.0)):
    connectomes = np.arange(12, dtype=np.float16).reshape(2, 2, 3)
    return Person("01", connectomes, seconds, (np.array(maps, np.float32),))


def test_segments_count_by_their_time():
    somebody = person([[1, 2, 3]])
    expected = 0.25 * somebody.connectomes[0] + 0.75 * somebody.connectomes[1]
    maps = predicted_maps(lambda connectome: connectome[:1], somebody)
    np.testing.assert_allclose(maps, expected[:1])


def test_what_was_not_measured_counts_as_average():
    people = [person([[1, NAN, NAN]]), person([[3, 4, NAN]])]
    mean = mean_maps(people)
    np.testing.assert_array_equal(mean, [[2, 4, 0]])
    # A person is compared with the others where somebody else was measured, too.
    deviation, measured = MeanMaps.of(people).left_out(people[1])
    np.testing.assert_array_equal(deviation, [[2, 0, 0]])
    np.testing.assert_array_equal(measured, [[True, False, False]])


@pytest.mark.parametrize("other_maps", [[[1, 2, 4]], [[1, NAN, 3]]])
def test_other_maps_have_another_fingerprint(other_maps):
    assert person([[1, 2, 3]]).fingerprint() == person([[1, 2, 3]]).fingerprint()
    assert person(other_maps).fingerprint() != person([[1, 2, 3]]).fingerprint()
