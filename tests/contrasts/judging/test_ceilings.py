"""The ceiling of a score is the root of the reliability, and what was not measured is not 0."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.judging.ceilings import Ceilings
from bids_dtg.contrasts.people import Person

PEOPLE, PLACES = 60, 3000
NOTHING = np.zeros((1, 1, PLACES), np.float16)


def people(noise: float, seed: int = 0, *, own: float = 1.0, count: int = PEOPLE) -> list[Person]:
    """People with a common map of variance 4 and own ones, measured twice with noise."""
    rng = np.random.default_rng(seed)
    common = 2 * rng.standard_normal((1, PLACES))
    true = [common + own * rng.standard_normal((1, PLACES)) for _ in range(count)]
    twice = [
        tuple((maps + noise * rng.standard_normal(maps.shape)).astype(np.float32) for _ in "ab")
        for maps in true
    ]
    return [Person(f"{n}", NOTHING, (1.0,), sessions) for n, sessions in enumerate(twice)]


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_the_ceiling_is_what_the_true_map_would_reach(noise):
    (row,) = Ceilings.of(people(noise)).rows(["faces"])
    # Variance of the map, and of its own part, over that of a measurement.
    assert row["ceiling"] ** 2 == pytest.approx(5 / (5 + noise**2), abs=0.01)
    assert row["residual_ceiling"] ** 2 == pytest.approx(1 / (1 + noise**2), abs=0.02)
    assert row["reliability"] == pytest.approx(row["ceiling"] ** 2, abs=1e-3)
    assert row["retest_people"] == PEOPLE


def test_places_outside_a_field_of_view_are_no_zeros():
    whole = people(0.5)
    cut = [
        Person(one.label, NOTHING, (1.0,), (one.maps, np.where(np.arange(PLACES) < 2000, again, x)))
        for x, one in zip([np.nan] * 30 + [0.0] * 30, whole, strict=True)
        for again in [one.sessions[1]]
    ]
    found, unhurt = Ceilings.of(cut).r[0], Ceilings.of(whole).r[0]
    assert np.abs(found[:30] - unhurt[:30]).max() < 0.02
    assert (found[30:] < unhurt[30:] - 0.1).all()  # what zeros would have made of it


def test_only_who_was_measured_twice_counts():
    some = people(1.0)
    once = [Person(f"once{n}", NOTHING, (1.0,), one.sessions[:1]) for n, one in enumerate(some)]
    assert Ceilings.of(once) is None
    (row,) = Ceilings.of([*once, *some[:9]]).rows(["faces"])
    assert row["retest_people"] == 9
    # A single person has no deviation from a mean.
    (row,) = Ceilings.of([*once, some[0]]).rows(["faces"])
    assert row["retest_people"] == 1
    assert row["ceiling"] > 0.8
    assert row["residual_reliability"] is None
    assert row["residual_ceiling"] is None


def test_a_contrast_that_nobody_has_twice_has_no_row():
    two = []
    for one in people(1.0, count=4):
        maps = np.concatenate([one.maps, one.maps])
        again = np.concatenate([one.sessions[1], np.full((1, PLACES), np.nan, np.float32)])
        two.append(Person(one.label, NOTHING, (1.0,), (maps, again)))
    found = Ceilings.of(two)
    assert [row["contrast"] for row in found.rows(["a", "b"])] == ["a"]
    assert np.isnan(found.by_contrast[1])
    assert found.mean == pytest.approx(found.by_contrast[0])


def test_people_who_are_alike_have_a_ceiling_of_0_for_their_deviations():
    (row,) = Ceilings.of(people(1.0, own=0.0)).rows(["faces"])
    assert row["residual_ceiling"] < 0.1
