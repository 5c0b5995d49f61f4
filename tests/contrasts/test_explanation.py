"""Contributions to deviations: they add up, and count where permuted people have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weighted_people import CONTRASTS, PLACES, SETS, simulated

from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.explanation import Areas, Explained, Explanation, Support, overlap
from bids_dtg.contrasts.linear import LinearModel, LinearSums, Parcels, fit_person, mean_features
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.contrasts.people import predicted_maps
from bids_dtg.contrasts.weighted_linear import fit_weighted
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.lattice import Lattice
from bids_dtg.imaging.places import VoxelPlaces

ROIS, ONE = sum(SETS), slice(SETS[0], sum(SETS))
LABELS = tuple(Contrast(n, f"c{n}", "", "", "") for n in range(CONTRASTS))


def roi_maps(seed=3):
    return np.random.default_rng(seed).normal(size=(ROIS, PLACES)).astype(np.float32)


def lattice() -> Lattice:
    mask = np.ones((5, 4, 3), bool)
    return VoxelPlaces.within(Grid(mask.shape, np.eye(4)), mask).lattice(2)


def plain(people, parcels=None):
    sums = LinearSums(Parcels(parcels))
    for person in people:
        features = mean_features(person, sums.parcels)
        sums.add(features, person.maps, fit_person(person, sums.parcels))
    return sums.model()


def ridge(people):
    sums = LocalRidgeSums(lattice())
    for person in people:
        sums.fit_person(person.mean_connectome(), person.maps)
    return sums.solve(1.0, 2.0)


def weighted(people):
    return replace(fit_weighted(people, SETS).model, amplitude=None)


MODELS = {
    "weighted": weighted,
    "weighted, short rest": lambda people: weighted(people).of_rest(3.0),
    "linear": plain,
    "linear-parcel": lambda people: plain(people, np.repeat([0, 1], PLACES // 2)),
    "local ridge": ridge,
}


@pytest.fixture(scope="module")
def people():
    return simulated(12)


@pytest.mark.parametrize("kind", MODELS)
def test_contributions_add_up_to_the_deviation(kind, people):
    model = MODELS[kind](people)
    assert isinstance(model, Explained)
    support = Support.learn(people, model, roi_maps(), ONE)
    means = np.mean(
        [support.areas.means(predicted_maps(model, person)) for person in people], axis=0
    )
    gains = np.array([0.5, 1.0, 1.5, 0.0])
    for person in people[:3]:
        connectome = person.mean_connectome()
        found = support.explain(LABELS, model.contributions(connectome, support.areas), None, gains)
        deviation = support.areas.means(model.predict(connectome)) - means
        np.testing.assert_allclose(found.deviation, gains[:, None] * deviation, atol=1e-5)
        assert found.contributions.shape == (CONTRASTS, SETS[1], SETS[1])


def test_the_amplitude_step_is_left_out(people):
    model = fit_weighted(people, SETS).model
    areas = Areas.of(roi_maps()[ONE])
    own = people[0].mean_connectome()
    bare = replace(model, amplitude=None)
    np.testing.assert_array_equal(model.contributions(own, areas), bare.contributions(own, areas))


def test_a_bundles_tensors_give_the_same_explanation(people):
    model = weighted(people)
    support = Support.learn(people, model, roi_maps(), ONE)
    again = Support.from_tensors(support.tensors(), PLACES)
    own = model.contributions(people[0].mean_connectome(), support.areas)
    one, other = (held.explain(LABELS, own, (own, own)) for held in (support, again))
    np.testing.assert_allclose(one.contributions, other.contributions, atol=1e-6)
    for name in ("p", "pattern", "shown"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("areas", np.zeros(3, np.int32), "areas are 60 whole numbers"),
        ("areas", np.full(PLACES, 9, np.int32), "areas are numbers below 5"),
        ("peaks", np.full(SETS[1], PLACES, np.int32), "peaks are numbers below 60"),
        ("peaks", np.zeros(2, np.int32), "5 ROIs have 5 areas, 2 peaks"),
        ("p", np.zeros((1, 2, 3), np.float32), "p is"),
        ("centre", np.zeros(3, np.float32), "what follows it three"),
        ("mean", np.zeros((2, PLACES), np.float16), "mean is"),
    ],
)
def test_damaged_tensors_are_refused(name, value, says, people):
    held = Support.learn(people, plain(people), roi_maps(), ONE).tensors()
    with pytest.raises(ValueError, match=says):
        Support.from_tensors({**held, name: value}, PLACES)


def test_too_few_people_and_no_maps_are_refused(people):
    model = plain(people)
    with pytest.raises(ValueError, match="7 people are fewer than 8"):
        Support.learn(people[:7], model, roi_maps(), ONE)
    with pytest.raises(ValueError, match="no ROI maps"):
        Support.learn(people, model, np.zeros((ROIS, PLACES)), ONE)


class Squares:
    """Maps are sums of squares of columns, whose contributions along a path are known."""

    def predict(self, connectome):
        return (SIGNS @ connectome**2).astype(np.float32)

    def path_contributions(self, connectome, start, areas, points=None):
        change = connectome.astype(np.float64) ** 2 - start.astype(np.float64) ** 2
        return SIGNS[:, :, None] * areas.means(change)


SIGNS = np.random.default_rng(2).choice([-1.0, 1.0], (CONTRASTS, ROIS))


def test_a_model_that_is_no_sum_is_explained_from_the_mean_connectome_on(people):
    model = Squares()
    support = Support.learn(people, model, roi_maps(), ONE)
    mean = np.mean([person.mean_connectome() for person in people], axis=0)
    np.testing.assert_allclose(support.mean, mean, atol=2e-3)
    own = people[0].mean_connectome()
    whole = support.contributions(model, own)
    found = support.explain(LABELS, whole, (whole, whole))
    difference = support.areas.means(model.predict(own) - model.predict(support.mean))
    np.testing.assert_allclose(found.deviation, difference, atol=1e-4)
    again = Support.from_tensors(support.tensors(), PLACES)
    np.testing.assert_array_equal(again.contributions(model, own), whole)
    # Of a column, in the direction in which it contributes more, with what was measured.
    columns = np.array([support.areas.means(person.mean_connectome()) for person in people])
    measured = np.array([support.areas.means(person.maps) for person in people])
    columns, measured = columns - columns.mean(axis=0), measured - measured.mean(axis=0)
    covariance = np.einsum("pca,pqa->qca", columns, measured) / (len(people) - 1)
    direction = SIGNS[:, :, None] * np.sign(support.areas.means(support.mean + 0.05))
    np.testing.assert_allclose(support.pattern, direction * covariance, atol=1e-6)


def test_a_support_of_sums_explains_no_network(people):
    support = Support.learn(people, plain(people), roi_maps(), ONE)
    with pytest.raises(TypeError, match="no mean connectome"):
        support.contributions(Squares(), people[0].mean_connectome())


def test_a_column_that_carries_a_difference_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    maps = np.kron(np.eye(4), np.ones(15)).astype(np.float32)
    made = simulated(30)
    found = []
    for person in made:
        own = rng.normal(size=(4, PLACES))
        measured = rng.normal(size=(2, PLACES))
        carried = rng.normal() * maps[2]
        own[2] += 3 * carried
        measured[0] += 2 * carried
        found.append(
            replace(
                person,
                connectomes=own[None].astype(np.float16),
                sessions=(measured.astype(np.float32),),
            )
        )
    model = LinearModel(np.ones((2, 1, 5), np.float32))
    support = Support.learn(found, model, maps, slice(0, 4))
    passing = np.argwhere(support.p < 0.05)
    assert passing.tolist() == [[0, 2, 2]]
    assert support.pattern[0, 2, 2] > 0


def test_a_pattern_is_of_the_direction_in_which_a_column_contributes(people):
    maps = roi_maps()
    one, other = (
        Support.learn(people, LinearModel(sign * np.ones((4, 1, 1 + ROIS), np.float32)), maps, ONE)
        for sign in (1, -1)
    )
    np.testing.assert_array_equal(one.pattern, -other.pattern)
    np.testing.assert_array_equal(one.p, other.p)


def test_missing_maps_count_as_the_mean(people):
    lacks = people[0].maps.copy()
    lacks[1] = np.nan
    some = [replace(people[0], sessions=(lacks,)), *people[1:]]
    model = plain(people)
    one, other = (Support.learn(held, model, roi_maps(), ONE) for held in (some, people))
    assert np.isfinite(one.pattern).all()
    assert np.isfinite(one.p).all()
    assert not np.array_equal(one.pattern[1], other.pattern[1])
    rest = [0, 2, 3]
    np.testing.assert_array_equal(one.pattern[rest], other.pattern[rest])
    np.testing.assert_allclose(
        one.pattern[1],
        Support.learn(people[1:], model, roi_maps(), ONE).pattern[1],
        rtol=0.2,
        atol=0.02,
    )


def test_only_contributions_of_one_sign_with_a_pattern_are_shown():
    contributions = np.array([[[1.0], [1.0], [-3.0], [-1.0], [0.0]]])
    odd = np.array([[[1.0], [-1.0], [-2.0], [-1.0], [1.0]]])
    p = np.array([[[0.01], [0.01], [0.04], [0.05], [0.01]]], np.float32)
    explained = Explanation(LABELS[:1], contributions, (odd, contributions), p, p)
    assert explained.shown[0, :, 0].tolist() == [True, False, True, False, False]
    assert not replace(explained, halves=None).shown.any()
    assert explained.sums.tolist() == [[1.0 - 3.0]]
    assert (replace(explained, halves=None).sums == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_overlap_divides_each_column_and_keeps_the_sets_own(seed, columns, rois):
    rng = np.random.default_rng(seed)
    one_set = rng.normal(size=(rois, 12))
    found = overlap(np.concatenate([rng.normal(size=(columns, 12)), one_set]), one_set)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert (found >= 0).all()
    np.testing.assert_array_equal(found[columns:], np.eye(rois))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_means_of_parts_of_places_add_up(seed):
    rng = np.random.default_rng(seed)
    areas = Areas.of(np.maximum(rng.normal(size=(4, 30)), 0))
    values, cut = rng.normal(size=(3, 30)), int(rng.integers(31))
    parts = [areas.means(values[:, part], part) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_allclose(sum(parts), areas.means(values), atol=1e-12)
