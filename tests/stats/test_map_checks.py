"""Measured maps that are not what they should be are found, and good ones are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.stats.map_checks import (
    LEAST_PEOPLE,
    Geometry,
    check_maps,
    judge_person,
    own_figures,
)

PEOPLE = 8


@pytest.fixture(scope="module")
def places():
    return load_anatomy(4).places


@pytest.fixture(scope="module")
def geometry(places):
    return Geometry(places.mirror(), places.shifted, places.spacing_mm)


def smooth(places, rng) -> np.ndarray:
    """Draw a map of standard deviation 1 with blobs of about 12 mm, (places,)."""
    volume = gaussian_filter(rng.normal(size=places.grid.shape), 5.0 / places.spacing_mm)
    values = volume.reshape(-1)[places.positions]
    return (values / values.std()).astype(np.float32)


def cohort(places, contrasts: int = 1, own: float = 1.0) -> list[list[np.ndarray]]:
    """Draw people's maps of each contrast: as much of their own as they share."""
    rng = np.random.default_rng(3)
    made = []
    for _ in range(contrasts):
        mean = smooth(places, rng)
        made.append([mean + own * smooth(places, rng) for _ in range(PEOPLE)])
    return made


def check(maps, geometry):
    return check_maps(maps, [float(np.nanstd(values)) for values in maps], geometry)


def moved(places, values, offset_mm):
    index = places.shifted([-mm for mm in offset_mm])
    return np.where(index >= 0, values[index], np.nan).astype(np.float32)


def mirrored(geometry, values):
    return np.where(geometry.mirror >= 0, values[geometry.mirror], np.nan).astype(np.float32)


def test_nothing_is_found_in_maps_that_share_half_of_their_variance(places, geometry):
    for maps in cohort(places, 6):
        assert [dict(found.findings) for found in check(maps, geometry)] == [{}] * PEOPLE


def test_a_mirrored_map_is_found(places, geometry):
    (maps,) = cohort(places)
    maps[2] = mirrored(geometry, maps[2])
    found = check(maps, geometry)
    assert [list(item.findings) for item in found] == [[], [], ["mirrored"], *([[]] * 5)]
    assert "left and right look swapped" in found[2].findings["mirrored"]


@pytest.mark.parametrize("offset", [(8, 0, 0), (0, -8, 0), (0, 0, 8)])
def test_a_shifted_map_is_found_and_where_it_lies(places, geometry, offset):
    (maps,) = cohort(places)
    maps[1] = moved(places, maps[1], offset)
    found = check(maps, geometry)
    assert ["shifted" in item.findings for item in found] == [False, True, *([False] * 6)]
    assert found[1].group.shift_mm == offset


@pytest.mark.slow
def test_a_shift_of_6_mm_is_found_at_2_mm():
    places = load_anatomy(1).places
    geometry = Geometry(places.mirror(), places.shifted, places.spacing_mm)
    (maps,) = cohort(places)
    maps[1] = moved(places, maps[1], (6, 0, 0))
    maps[5] = mirrored(geometry, maps[5])
    found = check(maps, geometry)
    assert found[1].group.shift_mm == (6, 0, 0)
    assert [set(item.findings) - {"coverage"} for item in found] == [
        *(set(), {"shifted"}, set(), set(), set(), {"mirrored"}, set(), set())
    ]


def test_where_maps_share_no_side_a_mirrored_one_is_not_told(places, geometry):
    (maps,) = cohort(places)
    even = [(values + mirrored(geometry, values)) / 2 for values in maps]
    rng = np.random.default_rng(0)
    even = [np.nan_to_num(values) + 0.3 * smooth(places, rng) for values in even]
    even[0] = mirrored(geometry, even[0])
    assert "mirrored" not in check(even, geometry)[0].findings


def test_another_scale_is_found_and_does_not_outweigh_the_others(places, geometry):
    (maps,) = cohort(places)
    maps[4] = maps[4] * 1000
    found = check(maps, geometry)
    assert [list(item.findings) for item in found] == [*([[]] * 4), ["scale"], *([[]] * 3)]
    assert 500 < found[4].scale < 2000


def test_a_map_of_something_else_is_an_outlier(places, geometry):
    (maps,) = cohort(places, own=0.7)
    maps[7] = smooth(places, np.random.default_rng(9))
    found = check(maps, geometry)
    assert [list(item.findings) for item in found] == [*([[]] * 7), ["outlier"]]


def test_fewer_people_than_five_are_not_compared(places, geometry):
    (maps,) = cohort(places)
    maps = maps[: LEAST_PEOPLE - 1]
    maps[0] = mirrored(geometry, maps[0]) * 1000
    found = check(maps, geometry)
    assert all(item.group is None and not item.findings for item in found)
    assert judge_person(found, places.spacing_mm) == {}


def test_several_contrasts_tell_what_one_does_not(places, geometry):
    """Maps so unlike that none tells alone; the median over contrasts does."""
    contrasts = cohort(places, 8, own=3.0)
    for maps in contrasts:
        maps[0] = mirrored(geometry, maps[0])
    of_first = [check(maps, geometry)[0] for maps in contrasts]
    of_second = [check(maps, geometry)[1] for maps in contrasts]
    assert judge_person(of_second, places.spacing_mm) == {}
    if np.median([item.usual_side_r for item in of_first]) >= 0.1:
        assert set(judge_person(of_first, places.spacing_mm)) == {"mirrored"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda values, points: np.where(values > 1, 1.0, np.nan), "mask, labels"),
        (lambda values, points: np.where(values > 1, 2.0, 1.0), "mask, labels"),
        (lambda values, points: np.full_like(values, 3.0), "100% of its values are the same"),
        (lambda values, points: np.full_like(values, np.nan), "it is empty"),
        (
            lambda values, points: np.where((points > [0, -20, 10]).all(axis=1), values, np.nan),
            "it covers",
        ),
        (lambda values, points: np.where(values > 2, values, np.nan), "less than 50%"),
    ],
)
def test_what_is_no_map_of_the_whole_brain_cannot_be_used(places, change, why):
    values = smooth(places, np.random.default_rng(1))
    assert own_figures(values).unusable == ""
    assert why in own_figures(change(values, places.points)).unusable


def test_a_missing_third_is_reported(places, geometry):
    (maps,) = cohort(places)
    low = places.points[:, 2] < np.quantile(places.points[:, 2], 0.3)
    maps[3] = np.where(low, np.nan, maps[3]).astype(np.float32)
    found = check(maps, geometry)
    assert list(found[3].findings) == ["coverage"]
    assert "72% of the model's mask" in found[3].findings["coverage"]


def test_on_a_surface_sides_and_shifts_are_not_told():
    rng = np.random.default_rng(2)
    mean = rng.normal(size=300)
    maps = [mean + rng.normal(size=300) for _ in range(6)]
    none = np.full(300, -1)
    found = check(maps, Geometry(none, lambda offset: none, 2.0))
    assert all(np.isnan(item.group.side_r) and not item.findings for item in found)


@pytest.mark.slow
def test_in_people_of_the_phantom_the_damaged_ones_are_found_and_nobody_else():
    """47 contrasts together tell what some of them alone do not: 6 mm at voxels of 8 mm."""
    phantom = Phantom(block=4)
    places = phantom.anatomy.places
    geometry = Geometry(places.mirror(), places.shifted, places.spacing_mm)
    maps = np.stack([phantom.person(0, number).measured_maps(0) for number in range(20)])

    def findings():
        by_contrast = [check(list(maps[:, q]), geometry) for q in range(maps.shape[1])]
        alone = {n for found in by_contrast for n, item in enumerate(found) if item.findings}
        together = {
            n: set(judge_person([found[n] for found in by_contrast], places.spacing_mm))
            for n in range(len(maps))
        }
        return alone, {n: kinds for n, kinds in together.items() if kinds}

    assert findings() == (set(), {})
    maps[0] = np.stack([mirrored(geometry, values) for values in maps[0]])
    maps[2] = np.stack([moved(places, values, (0, 0, -6)) for values in maps[2]])
    maps[3] *= 1000
    assert findings() == ({0, 2, 3}, {0: {"mirrored"}, 2: {"shifted"}})
