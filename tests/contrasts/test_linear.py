"""The linear model: means of people's fits, and gains found with each person left out in turn."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.contrasts.linear import (
    LeftOut,
    LinearModel,
    LinearSums,
    Parcels,
    fit_person,
    mean_features,
)
from bids_dtg.contrasts.people import Person, mean_maps, predicted_maps
from bids_dtg.contrasts.recentring import MOST_GAIN
from bids_dtg.stats.linear import LinearBaseline, ParcelLinearBaseline

ROIS, PLACES = 3, 60
WHOLE = Parcels(None)
HALVES = Parcels(np.arange(PLACES) // 30)


def people(count, seed=0, *, own=1.0, noise=0.1, segments=2):
    """Make people whose maps are linear in their connectomes, `own` of which is theirs alone."""
    rng = np.random.default_rng(seed)
    common, slopes = np.random.default_rng(9).normal(size=(2, ROIS, PLACES))
    made = []
    for number in range(count):
        mine = common + own * rng.normal(size=common.shape)
        x = (mine + 0.1 * rng.normal(size=(segments, *mine.shape))).astype(np.float16)
        maps = np.stack([mine[0] + mine[1], mine[2] - mine[0]]) + slopes[:2]
        maps += noise * rng.normal(size=maps.shape)
        weights = tuple(rng.uniform(100, 300, segments))
        made.append(Person(f"{seed}-{number}", x, weights, (maps.astype(np.float32),)))
    return made


def with_gaps(cohort):
    """Take a contrast of one person away, places of another, and places of all but a third."""
    cohort[0].maps[1] = np.nan
    cohort[1].maps[:, 50:] = np.nan
    for number, person in enumerate(cohort):
        person.maps[0, :3] = 9.0 if number == 2 else np.nan
    return cohort


def summed(cohort, parcels=WHOLE):
    sums = LinearSums(parcels)
    for person in cohort:
        sums.add(mean_features(person, parcels), person.maps, fit_person(person, parcels))
    return sums


def gains_of(cohort, parcels=WHOLE, sums=None):
    left_out = LeftOut(sums or summed(cohort, parcels))
    for person in cohort:
        left_out.add(mean_features(person, parcels), person.maps, fit_person(person, parcels))
    return left_out.gains()


def baseline(cohort, parcels):
    model = LinearBaseline() if parcels is WHOLE else ParcelLinearBaseline(parcels.labels)
    return model.fit([one.mean_connectome() for one in cohort], [one.maps for one in cohort])


@pytest.mark.parametrize("parcels", [WHOLE, HALVES])
def test_it_is_the_linear_model_of_the_tables(parcels):
    cohort = with_gaps(people(5))
    model, simple = summed(cohort, parcels).model(), baseline(cohort, parcels)
    connectome = people(1, seed=3)[0].mean_connectome()
    np.testing.assert_allclose(
        model.predict(connectome), simple.predict([connectome])[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("parcels", [WHOLE, HALVES])
def test_gains_are_those_of_models_fitted_to_all_others(parcels):
    cohort = with_gaps(people(6, own=0.7, noise=2.0))
    products, squares = np.zeros(2), np.zeros(2)
    for person in cohort:
        others = [other for other in cohort if other is not person]
        model = summed(others, parcels).model()
        mean = np.mean([predicted_maps(model, other) for other in others], axis=0)
        deviation = predicted_maps(model, person) - mean
        measured = person.maps - mean_maps(others)
        known = np.isfinite(measured) & np.isfinite([other.maps for other in others]).any(axis=0)
        products += np.sum(np.where(known, deviation * measured, 0.0), axis=1)
        squares += np.sum(np.where(known, deviation**2, 0.0), axis=1)
    slopes = products / squares
    expected = (slopes + products.sum() / squares.sum()) / 2
    assert (slopes > 0).all()
    assert (expected < MOST_GAIN).all()
    assert abs(slopes[0] - slopes[1]) > 1e-3
    np.testing.assert_allclose(gains_of(cohort, parcels), expected, rtol=1e-4)


def test_predictions_keep_what_is_individual_and_the_mean_is_the_measured_one():
    cohort = people(5)
    sums = summed(cohort)
    correction = sums.correction(gains_of(cohort))
    model = sums.model()
    corrected = [correction.apply(predicted_maps(model, person)) for person in cohort]
    np.testing.assert_allclose(np.mean(corrected, axis=0), mean_maps(cohort), atol=1e-4)
    new = people(4, seed=1)
    average = mean_maps(cohort)
    for person in new:
        found = correction.apply(predicted_maps(model, person))
        assert np.square(found - person.maps).mean() < np.square(average - person.maps).mean()


def test_what_is_not_individual_has_no_gain():
    first, *others = people(5, own=0.0)
    same = [first, *(dataclasses.replace(first, sessions=other.sessions) for other in others)]
    assert gains_of(same).tolist() == [0.0, 0.0]
    strangers = people(6, own=1.0)
    rolled = [
        dataclasses.replace(one, sessions=other.sessions)
        for one, other in zip(strangers, strangers[1:] + strangers[:1], strict=True)
    ]
    assert (gains_of(rolled) < 0.2).all()


def test_a_contrast_of_one_person_alone_counts_nowhere():
    cohort = people(5)
    for person in cohort[1:]:
        person.maps[1] = np.nan
    gains = gains_of(cohort)
    assert gains[0] > 0
    assert gains[1] == 0


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    seed=st.integers(0, 99),
    halves=st.booleans(),
    gaps=st.booleans(),
)
def test_sums_of_sites_are_those_of_all_people(sizes, seed, halves, gaps):
    cohort, parcels = people(sum(sizes), seed), HALVES if halves else WHOLE
    if gaps:
        with_gaps(cohort)
    pooled = summed(cohort, parcels)
    edges = np.cumsum([0, *sizes])
    sites = [summed(cohort[start:stop], parcels) for start, stop in itertools.pairwise(edges)]
    both = sites[0]
    for site in sites[1:]:
        both = both + site
    assert both.people == pooled.people
    np.testing.assert_allclose(both.model().coefficients, pooled.model().coefficients, atol=1e-6)
    np.testing.assert_allclose(
        both.feature_sum / both.people, pooled.feature_sum / pooled.people, atol=1e-6
    )
    np.testing.assert_allclose(both.mean_maps(), pooled.mean_maps(), atol=1e-6)


def test_other_sites_people_are_among_all_others():
    cohort = people(6, noise=1.0)
    pooled = summed(cohort)
    both = summed(cohort[:3]) + summed(cohort[3:])
    np.testing.assert_allclose(
        gains_of(cohort[:3], sums=both), gains_of(cohort[:3], sums=pooled), rtol=1e-5
    )


def test_nobody_is_left_of_one_person():
    with pytest.raises(ValueError, match="1 person is too few to leave one out"):
        gains_of(people(1))


@pytest.mark.parametrize("parcels", [WHOLE, HALVES])
def test_tensors_make_the_same_model(parcels):
    model = summed(people(3), parcels).model()
    back = LinearModel.from_tensors(model.tensors(), PLACES)
    connectome = people(1, seed=2)[0].mean_connectome()
    np.testing.assert_array_equal(back.predict(connectome), model.predict(connectome))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"coefficients": np.zeros((2, 4))}, "three axes"),
        ({"coefficients": np.zeros((2, 3, 4))}, "2 parcels"),
        ({"parcels": np.zeros(PLACES - 1, int)}, "60 whole numbers"),
        ({"parcels": np.zeros(PLACES)}, "60 whole numbers"),
        ({"parcels": np.zeros(PLACES, int)}, "1 parcels"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change, error):
    tensors = summed(people(3), HALVES).model().tensors()
    with pytest.raises(ValueError, match=error):
        LinearModel.from_tensors(tensors | change, PLACES)
