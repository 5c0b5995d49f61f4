from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from bids_dtg.contrasts.analyses.fit import half_width_words
from bids_dtg.contrasts.half_width import HalfWidths, LeftOutErrors
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces, single_lattice

PLACES = VoxelPlaces.within(
    Grid((8, 8, 8), np.diag([2.0, 2.0, 2.0, 1.0])), np.ones((8, 8, 8), bool)
)
LATTICE = PLACES.lattice(4)
RNG = np.random.default_rng(0)


def widths_of(errors, **options) -> HalfWidths:
    sums = LeftOutErrors(errors.shape[1], LATTICE)
    for error in errors:
        maps = RNG.normal(size=error.shape)
        sums.add(maps, maps + error)
    return sums.half_widths(segments=4, **options)


def test_they_are_t_times_the_root_mean_square_of_the_errors_of_a_block():
    errors = RNG.normal(size=(12, 2, 512)) * [[1.0], [3.0]]
    widths = widths_of(errors, left_out_in_turn=True)
    for contrast in range(2):
        for block in range(8):
            of_block = errors[:, contrast, LATTICE.block_of == block]
            wanted = t.ppf(0.95, 11) * np.sqrt(np.mean(of_block**2))
            assert widths.values[contrast].ravel()[block] == pytest.approx(
                wanted, rel=1e-5
            )
    assert (widths.people, widths.segments, widths.left_out_in_turn) == (12, 4, True)


def test_they_hold_nine_of_ten_places_of_new_people():
    scale = 1 + LATTICE.block_of / 4
    errors = RNG.normal(size=(60, 1, 512)) * scale
    widths = widths_of(errors[:20]).at_places
    held = np.abs(errors[20:]) <= widths
    assert 0.85 < held.mean() < 0.95


def test_predictions_are_multiplied_by_gains():
    lattice = single_lattice(3, edge=1)
    predicted, measured = RNG.normal(size=(2, 15, 2, 3))
    gains = np.array([0.5, 0.0])
    with_gains, multiplied = LeftOutErrors(2, lattice), LeftOutErrors(2, lattice)
    for p, m in zip(predicted, measured, strict=True):
        with_gains.add(p, m)
        multiplied.add(gains[:, None] * p, m)
    np.testing.assert_allclose(
        with_gains.half_widths(gains, segments=1).values,
        multiplied.half_widths(segments=1).values,
        rtol=1e-5,
    )


def test_where_few_were_measured_there_is_no_interval():
    errors = RNG.normal(size=(12, 1, 512))
    errors[:3, 0, LATTICE.block_of == 2] = np.nan  # nine are left
    errors[:2, 0, LATTICE.block_of == 3] = np.nan  # ten
    half_widths = widths_of(errors)
    widths = half_widths.at_places[0]
    np.testing.assert_array_equal(np.isnan(widths), LATTICE.block_of == 2)
    of_block = errors[2:, 0, LATTICE.block_of == 3]
    wanted = t.ppf(0.95, 9) * np.sqrt(np.mean(of_block**2))
    assert half_widths.values[0].ravel()[3] == pytest.approx(wanted, rel=1e-5)
    # Of five people all must have a place.
    assert np.isfinite(widths_of(errors[-5:]).at_places).all()


def test_other_values_are_refused():
    with pytest.raises(ValueError, match="0 or more, and finite"):
        HalfWidths(10, 4, np.full((1, 2, 2, 2), np.nan, np.float32), LATTICE)


def test_values_of_too_few_people_give_no_width():
    widths = widths_of(np.full((12, 2, 512), np.nan))
    assert np.isnan(widths.at_places).all()
    assert half_width_words(widths, "z").startswith("no half-widths: too few people")
