"""The weighted linear model, against one that was written from docs/explanation/linear.md alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from linear_by_the_page import ByThePage, connectome_of, standard
from weighted_people import PLACES, SETS, lacking, simulated

from bids_dtg.contrasts.people import predicted_maps
from bids_dtg.contrasts.weighted_linear import WeightedLinear, fit_weighted, shrinkage


@pytest.mark.parametrize("amplitude", [True, False])
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("people", [6, 12])
def test_predictions_are_those_of_the_page(people, complete, amplitude):
    *training, new = simulated(people + 1)
    if not complete:
        training = lacking(lacking(training, 2, 1), 4, 3)
        for person in training:
            person.maps[2, -7:] = np.nan
    fit, page = fit_weighted(training, SETS, amplitude=amplitude), ByThePage(training, SETS)
    assert 0 < page.gain.min() < page.gain.max() < 1.5
    assert fit.strength == pytest.approx(page.strength)
    assert (fit.model.amplitude is not None) == (amplitude and page.apart)
    for person in (*training, new):
        found = fit.gains[:, None] * fit.model.predict(person.connectomes[0].astype(np.float32))
        wanted = page.deviation(connectome_of(person), fit.model.amplitude is not None)
        assert np.abs(found - wanted).max() < 1e-5 * wanted.std()


def test_the_amplitude_is_apart_where_rows_have_it():
    """Rows whose sizes say nothing of the maps leave the amplitude to the shape."""
    people, rng = simulated(10, noise=0.1, share=1.0), np.random.default_rng(3)
    assert fit_weighted(people, SETS).model.amplitude is not None
    sizes = np.exp(1.5 * rng.normal(size=(10, sum(SETS), 1)))
    other = [
        dataclasses.replace(
            person, connectomes=(size * standard(connectome_of(person)))[None].astype(np.float16)
        )
        for person, size in zip(people, sizes, strict=True)
    ]
    assert fit_weighted(other, SETS).model.amplitude is None


def test_less_rest_is_compared_with_the_mean_of_as_much():
    training = simulated(9)
    fit, page = fit_weighted(training, SETS), ByThePage(training, SETS)
    assert fit.lengths == (3.0,)
    short = [person.shorter[3.0].astype(np.float64) for person in training]
    rng = np.random.default_rng(1)
    b = (short[0] + 0.8 * rng.normal(size=short[0].shape)).astype(np.float32)
    wanted = page.short(b.astype(np.float64), short, fit.model.amplitude is not None)
    for minutes in (2.0, 4.9):
        found = fit.gains[:, None] * fit.model.of_rest(minutes).predict(b)
        assert np.abs(found - wanted).max() < 1e-5 * wanted.std()
    whole = page.deviation(b.astype(np.float64), fit.model.amplitude is not None)
    for model in (fit.model, *(fit.model.of_rest(minutes) for minutes in (5.1, 40.0, np.nan))):
        found = fit.gains[:, None] * model.predict(b)
        assert np.abs(found - whole).max() < 1e-5 * whole.std()


def test_people_of_short_rest_are_above_the_group_average():
    """Noise of short rest changes all connectomes alike; without the correction some fall below."""
    everybody = simulated(40, noise=0.3)
    training, new = everybody[:12], everybody[12:]
    rng = np.random.default_rng(7)

    def mean_r(maps, others):
        return np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(maps, others, strict=True)])

    def shortened(person):
        own = connectome_of(person)  # whose sizes stay
        return own + 0.8 * own.std(axis=1, keepdims=True) * rng.normal(size=own.shape)

    training = [
        dataclasses.replace(person, shorter={3.0: standard(shortened(person)).astype(np.float16)})
        for person in training
    ]
    new = [
        dataclasses.replace(
            person, connectomes=shortened(person)[None].astype(np.float16), minutes=3.0
        )
        for person in new
    ]
    fit, above = fit_weighted(training, SETS), []
    for model in (dataclasses.replace(fit.model, short=None), fit.model):
        maps = [fit.mean_maps + fit.gains[:, None] * predicted_maps(model, one) for one in new]
        found = [
            mean_r(own, person.maps) - mean_r(fit.mean_maps, person.maps)
            for own, person in zip(maps, new, strict=True)
        ]
        above.append(np.mean(np.array(found) > 0))
    assert above[0] < 0.5
    assert above[1] == 1


def test_models_of_before_take_the_array_that_people_deviate_least_from():
    fit, rng = fit_weighted(simulated(9), SETS), np.random.default_rng(2)
    whole = fit.model.means[0]
    means = np.stack([whole, 0.6 * whole + 0.2 * rng.normal(size=whole.shape)]).astype(np.float32)
    tensors = {name: own for name, own in fit.model.tensors().items() if name != "factors"}
    before = WeightedLinear.from_tensors({**tensors, "means": means}, PLACES)
    for nearest, mean in enumerate(means):
        b = (mean + (0.2 + 0.6 * nearest) * rng.normal(size=mean.shape)).astype(np.float32)
        deviations = [fit.model.weights * (standard(b.astype(float)) - own) for own in means]
        assert np.argmin([(d**2).sum() for d in deviations]) == nearest
        wanted = dataclasses.replace(fit.model, short=None).predict(b)
        if nearest:
            d, ends = deviations[nearest], np.cumsum(SETS)
            wanted = 0.0
            for end, rois, square in zip(ends, SETS, fit.model.squares, strict=True):
                rows = slice(end - rois, end)
                share = np.clip(square / (d[rows] ** 2).mean(), 0.1, 1.0)
                wanted = wanted + share * (fit.model.coefficients[:, rows] @ d[rows])
        # Their length of rest is not known.
        for found in (before.predict(b), before.of_rest(3.0).predict(b)):
            assert np.abs(found - wanted).max() < 1e-5 * wanted.std()


def test_segments_count_by_their_weight():
    people = simulated(7)
    twice = [
        dataclasses.replace(
            person,
            connectomes=np.stack([person.connectomes[0], 0 * person.connectomes[0]]),
            weights=(840.0, 0.0),
        )
        for person in people
    ]
    one, other = (fit_weighted(given, SETS) for given in (people, twice))
    np.testing.assert_allclose(other.model.coefficients, one.model.coefficients, rtol=1e-5)
    np.testing.assert_allclose(other.model.squares, one.model.squares, rtol=1e-5)
    np.testing.assert_allclose(other.gains, one.gains, rtol=1e-5)


def test_lengths_that_not_everybody_has_are_left_out():
    people = simulated(6)
    people[3] = dataclasses.replace(people[3], shorter={})
    assert fit_weighted(people, SETS).lengths == ()
    people = [dataclasses.replace(person, minutes=3.5) for person in simulated(6)]
    assert fit_weighted(people, SETS).lengths == ()


def test_people_who_are_all_alike_get_the_mean():
    first, *others = simulated(6)
    alike = [first, *(dataclasses.replace(o, connectomes=first.connectomes) for o in others)]
    fit = fit_weighted(alike, SETS)
    assert not fit.gains.any()
    assert fit.model.amplitude is None
    assert np.isfinite(fit.model.predict(first.connectomes[0].astype(np.float32))).all()


def test_a_model_comes_back_from_its_tensors():
    people = simulated(10, noise=0.1, share=1.0)
    model = fit_weighted(people, SETS).model
    back = WeightedLinear.from_tensors(model.tensors(), PLACES)
    new = people[3].connectomes[0].astype(np.float32)
    for minutes in (np.nan, 3.0):
        found, wanted = (own.of_rest(minutes).predict(new) for own in (back, model))
        np.testing.assert_array_equal(found, wanted)
    assert back.amplitude is not None
    with pytest.raises(ValueError, match="places"):
        WeightedLinear.from_tensors(model.tensors(), PLACES + 1)
    with pytest.raises(ValueError, match="ROIs are not 8"):
        WeightedLinear.from_tensors({**model.tensors(), "sets": np.array([3, 4])}, PLACES)
    with pytest.raises(ValueError, match="directions"):
        WeightedLinear.from_tensors({**model.tensors(), "scale": np.ones(3)}, PLACES)
    for change, line in (
        ({"factors": np.ones((1, 3))}, r"factors are \(lengths, 8\), found \(1, 3\)"),
        ({"factors": np.ones(8)}, r"factors \(8,\), of minutes \(2,\)"),
        ({"minutes": np.zeros(2)}, "minutes are above 0"),
        ({"means": np.ones((2, 8, PLACES))}, "with factors there is one array of means, found 2"),
    ):
        with pytest.raises(ValueError, match=line):
            WeightedLinear.from_tensors({**model.tensors(), **change}, PLACES)


def test_one_person_is_too_few():
    with pytest.raises(ValueError, match="too few to leave one out"):
        fit_weighted(simulated(1), SETS)


def test_little_rest_is_shrunk_more():
    assert shrinkage(1000.0) == shrinkage(143.4) == 4
    assert shrinkage(36.0) == pytest.approx(4 * 143.4 / 36)
