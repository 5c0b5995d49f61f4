"""Measured maps that are not what they should be are found, and good ones are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.stats.map_checks import (
    LEAST_PEOPLE,
    check_maps,
    judge_person,
    map_figures,
)

PEOPLE = 8


@pytest.fixture(scope="module")
def places():
    return load_anatomy(4).places


@pytest.fixture(scope="module")
def mirror(places):
    return places.mirror()


def smooth(places, rng) -> np.ndarray:
    """Draw a map of standard deviation 1 with blobs of about 12 mm, (places,)."""
    volume = gaussian_filter(
        rng.normal(size=places.grid.shape), 5.0 / places.grid.voxel_sizes_mm[0]
    )
    values = volume.reshape(-1)[places.positions]
    return (values / values.std()).astype(np.float32)


def cohort(
    places, contrasts: int = 1, deviation: float = 1.0
) -> list[list[np.ndarray]]:
    """Draw people's maps of each contrast: as much of their own as they share."""
    rng = np.random.default_rng(3)
    people = []
    for _ in range(contrasts):
        mean = smooth(places, rng)
        people.append([mean + deviation * smooth(places, rng) for _ in range(PEOPLE)])
    return people


def mirrored(mirror, values):
    return np.where(mirror >= 0, values[mirror], np.nan).astype(np.float32)


def test_nothing_is_found_in_maps_that_share_half_of_their_variance(places, mirror):
    for maps in cohort(places, 6):
        maps[0][:50] = np.nan  # a gap of one person is left out of every comparison
        checked = check_maps(maps, mirror)
        assert [dict(person_check.findings) for person_check in checked] == [
            {}
        ] * PEOPLE
        assert all(person_check.r > 0.5 for person_check in checked)


def test_a_mirrored_map_is_found(places, mirror):
    (maps,) = cohort(places)
    maps[2] = mirrored(mirror, maps[2])
    checks = check_maps(maps, mirror)
    assert [list(item.findings) for item in checks] == [
        [],
        [],
        ["mirrored"],
        *([[]] * 5),
    ]
    assert "left and right look swapped" in checks[2].findings["mirrored"]


def test_another_scale_is_found_and_does_not_outweigh_the_others(places, mirror):
    (maps,) = cohort(places)
    maps[4] = maps[4] * 1000
    checks = check_maps(maps, mirror)
    assert [list(item.findings) for item in checks] == [
        *([[]] * 4),
        ["scale"],
        *([[]] * 3),
    ]
    assert 500 < checks[4].scale < 2000


def test_a_map_of_something_else_is_an_outlier(places, mirror):
    (maps,) = cohort(places, deviation=0.7)
    maps[7] = smooth(places, np.random.default_rng(9))
    checks = check_maps(maps, mirror)
    assert [list(item.findings) for item in checks] == [*([[]] * 7), ["outlier"]]


def test_fewer_people_than_five_are_not_compared(places, mirror):
    (maps,) = cohort(places)
    maps = maps[: LEAST_PEOPLE - 1]
    maps[0] = mirrored(mirror, maps[0]) * 1000
    checks = check_maps(maps, mirror)
    assert all(np.isnan(item.r) and not item.findings for item in checks)
    assert judge_person(checks) == {}


def test_maps_without_mirrored_places_are_compared_all_the_same(places, mirror):
    (maps,) = cohort(places)
    for item in check_maps(maps, np.full(len(mirror), -1)):
        assert item.r > 0.5
        assert np.isnan(item.side_r)
        assert not item.findings


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda values, points: np.where(values > 1, 1.0, np.nan), "mask, labels"),
        (lambda values, points: np.where(values > 1, 2.0, 1.0), "mask, labels"),
        (
            lambda values, points: np.full_like(values, 3.0),
            "100% of its values are the same",
        ),
        (lambda values, points: np.full_like(values, np.nan), "it is empty"),
        (
            lambda values, points: np.where(
                (points > [0, -20, 10]).all(axis=1), values, np.nan
            ),
            "it covers",
        ),
        (lambda values, points: np.where(values > 2, values, np.nan), "less than 50%"),
    ],
)
def test_what_is_no_map_of_the_whole_brain_cannot_be_used(places, change, why):
    values = smooth(places, np.random.default_rng(1))
    assert map_figures(values).unusable == ""
    assert why in map_figures(change(values, places.points)).unusable


def test_a_missing_third_is_reported(places, mirror):
    (maps,) = cohort(places)
    low = places.points[:, 2] < np.quantile(places.points[:, 2], 0.3)
    maps[3] = np.where(low, np.nan, maps[3]).astype(np.float32)
    checks = check_maps(maps, mirror)
    assert list(checks[3].findings) == ["coverage"]
    assert "72% of the model's mask" in checks[3].findings["coverage"]
