"""The weighted linear model, against one that was written from docs/explanation/linear.md alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from linear_by_the_page import ByThePage, connectome_of, standard
from weighted_people import PLACES, SETS, lacking, simulated

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
    mean = np.mean([person.shorter[3.0].astype(np.float64) for person in training], axis=0)
    rng = np.random.default_rng(1)
    b = mean + 0.8 * rng.normal(size=mean.shape)
    found = fit.gains[:, None] * fit.model.predict(b.astype(np.float32))
    wanted = page.short(b.astype(np.float32).astype(np.float64), mean)
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
    np.testing.assert_array_equal(back.predict(new), model.predict(new))
    assert back.amplitude is not None
    with pytest.raises(ValueError, match="places"):
        WeightedLinear.from_tensors(model.tensors(), PLACES + 1)
    with pytest.raises(ValueError, match="ROIs are not 8"):
        WeightedLinear.from_tensors({**model.tensors(), "sets": np.array([3, 4])}, PLACES)
    with pytest.raises(ValueError, match="directions"):
        WeightedLinear.from_tensors({**model.tensors(), "scale": np.ones(3)}, PLACES)


def test_one_person_is_too_few():
    with pytest.raises(ValueError, match="too few to leave one out"):
        fit_weighted(simulated(1), SETS)


def test_little_rest_is_shrunk_more():
    assert shrinkage(1000.0) == shrinkage(143.4) == 4
    assert shrinkage(36.0) == pytest.approx(4 * 143.4 / 36)
