"""The weighted linear model, against one that was written from docs/explanation/linear.md alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from weighted_people import PLACES, SETS, lacking, simulated, standard

from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.weighted_linear import WeightedLinear, fit_weighted, shrinkage


def connectome_of(person: Person) -> np.ndarray:
    return person.connectomes[0].astype(np.float64)


class ByThePage:
    """The model in float64, from docs/explanation/linear.md, a contrast at a time."""

    def __init__(self, people, sets=SETS):
        self.maps = np.stack([person.maps.astype(np.float64) for person in people])
        self.known = np.isfinite(self.maps).any(axis=2)  # (people, contrasts)
        self.inside = np.isfinite(self.maps).any(axis=0)  # (contrasts, places)
        self.b = np.stack([connectome_of(person) for person in people])
        self.n, self.sets = len(people), sets
        self.rows = np.split(np.arange(sum(sets)), np.cumsum(sets)[:-1])
        self.strength = 4 * max(1.0, 143.4 / sum(person.minutes for person in people))
        features = np.stack([standard(b) for b in self.b])
        self.mean = features.mean(axis=0)
        sd = features.std(axis=0)
        self.w = np.concatenate([sd[rows] / sd[rows].mean() for rows in self.rows])
        deviation = self.w * (features - self.mean)
        self.squares = [float((deviation[:, rows] ** 2).mean()) for rows in self.rows]
        self.coefficients, left_out = self.fit(self.mean, deviation, self.strength)
        self.gain = self.gains(left_out)
        # The amplitude.
        centred = self.b - self.b.mean(axis=2, keepdims=True)
        self.scale = centred.std(axis=2).mean(axis=0)
        columns = centred / self.scale[:, None]
        self.size_mean = columns.mean(axis=0)
        self.size_of, sizes_left_out = self.fit(self.size_mean, columns - self.size_mean, None)
        self.size_gain = self.gains(sizes_left_out)
        mean = np.nan_to_num(np.nanmean(np.where(self.inside, self.maps, 0), axis=0))
        u = mean - mean.mean(axis=1, keepdims=True)
        self.u = u / np.linalg.norm(u, axis=1, keepdims=True)
        self.apart = self.error(sizes_left_out) < self.error(left_out)

    def measured(self, q):
        """Return deviations of the people who have a contrast, and from the mean of others."""
        maps = self.maps[self.known[:, q], q][:, self.inside[q]]
        deviation = maps - maps.mean(axis=0)
        return deviation, deviation * len(maps) / (len(maps) - 1)

    def fit(self, mean, deviation, strength):
        """Return coefficients (contrasts, rois), and for each contrast those left out predicted."""
        away, contrasts = self.n / (self.n - 1), self.maps.shape[1]
        coefficients = [[None] * len(self.rows) for _ in range(contrasts)]
        predictions = [0.0] * contrasts
        for number, rows in enumerate(self.rows):
            fits, without, linear, d = [], [], [], []
            for q in range(contrasts):
                inside = self.inside[q]
                d.append(deviation[self.known[:, q]][:, rows][:, :, inside])
                rest = mean[rows][:, inside]
                designs = [np.vstack([np.ones(inside.sum()), rest + own]).T for own in d[q]]
                own_maps = self.maps[self.known[:, q], q][:, inside]
                slopes = [
                    np.linalg.lstsq(design, values, rcond=None)[0][1:]
                    for design, values in zip(designs, own_maps, strict=True)
                ]
                fits.append(np.mean(slopes, axis=0))
                without.append([(np.sum(slopes, axis=0) - s) / (len(d[q]) - 1) for s in slopes])
                linear.append(
                    np.array([s @ (away * o) for s, o in zip(without[q], d[q], strict=True)])
                )
            gains = self.gains(linear)
            for q in range(contrasts):
                pooled = gains[q] * fits[q]
                shared, shared_without = 0.0, [0.0] * len(d[q])
                if strength is not None:
                    gram = np.array([own @ own.T for own in d[q]])
                    left = np.array(
                        [
                            o @ (y - pooled @ o)
                            for o, y in zip(d[q], self.measured(q)[0], strict=True)
                        ]
                    )

                    def solve(gram, left, rows=rows):
                        ridge = strength * np.trace(gram) / len(rows) * np.eye(len(rows))
                        return np.linalg.solve(gram + ridge, left)

                    shared = solve(gram.sum(axis=0), left.sum(axis=0))
                    shared_without = [
                        solve(gram.sum(axis=0) - g, left.sum(axis=0) - y)
                        for g, y in zip(gram, left, strict=True)
                    ]
                coefficients[q][number] = pooled + shared
                found = [
                    (gains[q] * one + other) @ (away * own)
                    for one, other, own in zip(without[q], shared_without, d[q], strict=True)
                ]
                predictions[q] = predictions[q] + np.array(found) / len(self.rows)
        joined = np.array([np.concatenate(of_contrast) for of_contrast in coefficients])
        return joined / len(self.rows), predictions

    def gains(self, predicted):
        pairs = [(p, self.measured(q)[1]) for q, p in enumerate(predicted)]
        products = np.array([(p * m).sum() for p, m in pairs])
        squares = np.array([(p**2).sum() for p, _ in pairs])
        common = products.sum() / squares.sum()
        return np.clip((products / squares + common) / 2, 0, 1.5)

    def error(self, predicted):
        errors, gains = [], self.gains(predicted)
        for q, u in enumerate(self.u):
            measured = self.measured(q)[1] @ u[self.inside[q]]
            along = gains[q] * predicted[q] @ u[self.inside[q]]
            errors.append(((measured - along) ** 2).sum() / (measured**2).sum())
        return sum(errors)

    def deviation(self, b, apart):
        """Return deviations of maps, of the whole model."""
        maps = self.gain[:, None] * (self.coefficients @ (self.w * (standard(b) - self.mean)))
        if not apart:
            return maps
        columns = (b - b.mean(axis=1, keepdims=True)) / self.scale[:, None]
        size = self.size_gain[:, None] * (self.size_of @ (columns - self.size_mean))
        return maps + ((size - maps) * self.u).sum(axis=1, keepdims=True) * self.u

    def short(self, b, mean):
        """Return deviations from the mean connectome of shorter rest."""
        total = 0.0
        for rows, square in zip(self.rows, self.squares, strict=True):
            d = self.w[rows] * (standard(b)[rows] - mean[rows])
            share = np.clip(square / (d**2).mean(), 0.1, 1.0)
            total = total + share * (self.coefficients[:, rows] @ d)
        return self.gain[:, None] * total


@pytest.mark.parametrize("amplitude", [True, False])
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("people", [6, 12])
def test_predictions_are_those_of_the_page(people, complete, amplitude):
    *training, new = simulated(people + 1)
    if not complete:
        training = lacking(lacking(training, 2, 1), 4, 3)
        for person in training:
            person.maps[2, -7:] = np.nan
    fit, page = fit_weighted(training, SETS, amplitude=amplitude), ByThePage(training)
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
    fit, page = fit_weighted(training, SETS), ByThePage(training)
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
