"""The linear model, against an implementation of docs/explanation/linear.md alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from linear_by_the_page import ByThePage, connectome_of, connectome_of_rest, standard
from scipy.stats import t

import bids_dtg
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts import linear
from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.linear import fit_people, shrinkage
from bids_dtg.contrasts.people import FitData, Person, mean_maps, predicted_maps
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

SETS = (3, 5)
PLACES = 60
CONTRASTS = 4
MINUTES = 14.0


def simulated(
    people: int = 8, seed: int = 0, noise: float = 0.4, share: float = 0.5
) -> list[Person]:
    """Make people whose maps follow from a share of what is their own in their connectomes."""
    rng = np.random.default_rng(seed)
    # Each set has the same three networks in it.
    group, weights = rng.normal(size=(3, PLACES)), rng.normal(size=(CONTRASTS, 3))
    mixing = rng.normal(size=(sum(SETS), 3))
    persons = []
    for number in range(people):
        networks = (group + 0.5 * rng.normal(size=group.shape)) * rng.uniform(0.7, 1.3)
        connectome = mixing @ networks + 0.3 * rng.normal(size=(sum(SETS), PLACES))
        maps = weights @ (group + share * (networks - group))
        maps += noise * rng.normal(size=maps.shape)
        persons.append(
            Person(
                label=f"{number:02d}",
                connectomes=connectome[None].astype(np.float16),
                weights=(840.0,),
                sessions=(maps.astype(np.float32),),
                form=Form("partial", SETS),
                minutes=MINUTES,
            )
        )
    return persons


def lacking(people: list[Person], number: int, contrast: int) -> list[Person]:
    """Return people of whom one lacks a contrast."""
    maps = people[number].maps.copy()
    maps[contrast] = np.nan
    changed = dataclasses.replace(people[number], sessions=(maps,))
    return [*people[:number], changed, *people[number + 1 :]]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("people", [6, 12])
def test_predictions_are_those_of_the_page(people, complete):
    *training, new = simulated(people + 1)
    if not complete:
        training = lacking(lacking(training, 2, 1), 4, 3)
        for person in training:
            person.maps[2, -7:] = np.nan
    fit, page = fit_people(training, SETS), ByThePage(training, SETS)
    assert 0 < page.gain.min() < page.gain.max() < 1.5
    assert fit.record["linear"]["strength"] == pytest.approx(page.strength, abs=1e-4)
    noisy = dataclasses.replace(new, connectomes=new.connectomes[:, :, ::-1])
    for person in (*training, new, noisy):
        deviation = fit.model.predict(person.connectomes[0].astype(np.float32))
        prediction = fit.correction.gains[:, None] * deviation
        wanted = page.deviation(connectome_of(person))
        assert np.abs(prediction - wanted).max() < 1e-5 * wanted.std()


def test_half_widths_are_of_the_errors_for_people_left_out():
    people = lacking(simulated(12), 2, 1)
    fit, page = fit_people(people, SETS), ByThePage(people, SETS)
    widths = fit.half_widths.at_places
    for contrast, left_out in enumerate(page.left_out):
        errors = page.measured(contrast)[1] - page.gain[contrast] * np.array(left_out)
        wanted = t.ppf(0.95, len(errors) - 1) * np.sqrt(np.mean(errors**2, axis=0))
        np.testing.assert_allclose(widths[contrast], wanted, rtol=1e-4)
    assert (fit.half_widths.people, fit.half_widths.left_out_in_turn) == (12, True)


def test_half_widths_of_left_minus_right_are_of_the_same_errors():
    """Pairs of the index are those of the others' mean map, as for a new person."""
    people, half = simulated(12), PLACES // 2
    sides = Homologues(
        tuple(map(str, range(half))), np.arange(half), np.arange(half, PLACES)
    )
    fit, page = fit_people(people, SETS, None, sides), ByThePage(people, SETS)
    maps = np.stack([person.maps for person in people]).astype(np.float64)
    for contrast, left_out in enumerate(page.left_out):
        errors = page.measured(contrast)[1] - page.gain[contrast] * np.array(left_out)
        errors = errors[:, :half] - errors[:, half:]
        index = []
        for number, error in enumerate(errors):
            others_mean = np.delete(maps[:, contrast], number, axis=0).mean(axis=0)
            group = others_mean[:half] - others_mean[half:]
            most = np.argsort(-np.abs(group))[:20]
            index.append((error[most] * np.sign(group[most])).mean())
        errors = np.column_stack([errors, index])
        wanted = t.ppf(0.95, 11) * np.sqrt(np.mean(errors**2, axis=0))
        widths = fit.asymmetry_widths.values[contrast]
        np.testing.assert_allclose(widths, wanted, rtol=1e-4)


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
    once, with_weight = (fit_people(training, SETS) for training in (people, twice))
    np.testing.assert_allclose(
        with_weight.model.coefficients, once.model.coefficients, rtol=1e-5
    )
    np.testing.assert_allclose(
        with_weight.correction.gains, once.correction.gains, rtol=1e-5
    )


def test_people_who_are_all_alike_get_the_mean():
    first, *of_the_rest = simulated(6)
    alike = [
        first,
        *(dataclasses.replace(o, connectomes=first.connectomes) for o in of_the_rest),
    ]
    fit = fit_people(alike, SETS)
    assert not fit.correction.gains.any()
    assert np.isfinite(fit.model.predict(first.connectomes[0].astype(np.float32))).all()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sets": (3, 4)}, "ROIs do not add up to 8"),
        ({"weights": np.ones((7, PLACES))}, "weights are"),
        ({"variances": np.ones(3)}, "variances are"),
    ],
)
def test_what_does_not_fit_is_refused(change, line):
    model = fit_people(simulated(5), SETS).model
    with pytest.raises(ValueError, match=line):
        dataclasses.replace(model, **change)


def test_little_rest_is_shrunk_more():
    assert shrinkage(1000.0) == shrinkage(143.4) == 4
    assert shrinkage(36.0) == pytest.approx(4 * 143.4 / 36)
    assert shrinkage(float("nan")) == 4


def arrays(people, frames, seed=0):
    """Make rest, a list of (places, frames), and maps (people, contrasts, places)."""
    rng = np.random.default_rng(seed)
    networks = rng.random((3, PLACES)) ** 4 + 0.2 * rng.normal(size=(people, 3, PLACES))
    rest = [
        persons_networks.T @ rng.normal(size=(3, length))
        + 0.3 * rng.normal(size=(PLACES, length))
        for persons_networks, length in zip(networks, frames, strict=True)
    ]
    return rest, networks[:, :2] + 0.05 * rng.normal(size=(people, 2, PLACES))


@pytest.mark.slow
@pytest.mark.parametrize("tr_seconds", [None, 0.7])
def test_arrays_with_given_maps_are_fitted_as_the_page_says(tr_seconds, tmp_path):
    """Also people of different length, and one whose connectome is noise."""
    rest, maps = arrays(8, [300, 280, 320, 300, 300, 260, 300, 300])
    rest.append(np.random.default_rng(1).normal(size=(PLACES, 20)))
    roi_maps = [
        np.random.default_rng(n).random((n, PLACES), np.float32) ** 3 for n in SETS
    ]
    model = bids_dtg.fit_linear(rest[:7], maps[:7], tr_seconds, roi_maps=roi_maps)
    minutes = [
        np.nan if tr_seconds is None else series.shape[1] * tr_seconds / 60
        for series in rest
    ]
    b = [
        connectome_of_rest(series.T, np.concatenate(roi_maps), SETS) for series in rest
    ]
    people = [
        Person(str(n), b[n][None], (1.0,), (maps[n],), minutes=minutes[n])
        for n in range(7)
    ]
    page = ByThePage(people, SETS)
    wanted = [maps[:7].mean(axis=0) + page.deviation(connectome) for connectome in b]
    for series, expected in zip(rest, wanted, strict=True):
        np.testing.assert_allclose(model.predict(series), expected, rtol=0, atol=1e-6)
    deviation = page.w * (standard(b[8]) - page.mean)
    assert (
        page.variances[1] / np.square(deviation[page.rows[1]]).mean() < 0.8
    )  # it is scaled
    # A bundle rounds ROI maps and gains; the offset only of voxels, which are many.
    saved = model.save(tmp_path / "kept")
    np.testing.assert_array_equal(saved.correction.offset, model.fit.correction.offset)
    prediction = saved.correction.apply(
        saved.prepare().predict(b[8].astype(np.float32))
    )
    np.testing.assert_allclose(
        prediction, wanted[8], atol=0.02 * np.abs(wanted[8]).max()
    )


@pytest.mark.slow
def test_arrays_of_rest_and_maps_make_a_model_that_can_be_saved(tmp_path):
    rng = np.random.default_rng(0)
    networks = rng.random((3, PLACES)) ** 4 + 0.2 * rng.normal(size=(14, 3, PLACES))
    rest = np.einsum("nkv,nkt->nvt", networks, rng.normal(size=(14, 3, 900)))
    rest += 0.3 * rng.normal(size=rest.shape)
    maps = networks[:, :2]
    model = bids_dtg.fit_linear(rest[:12], maps[:12], tr_seconds=2.0, sets=(2, 3))
    average = maps[:12].mean(axis=0)
    for person in (12, 13):
        away = np.square(model.predict(rest[person]) - maps[person]).sum()
        assert away < 0.8 * np.square(average - maps[person]).sum()
    again = bids_dtg.fit_linear(list(rest[:12]), maps[:12], tr_seconds=2.0, sets=(2, 3))
    np.testing.assert_array_equal(again.predict(rest[12]), model.predict(rest[12]))
    saved = model.save(tmp_path / "own", [f"p{n}" for n in range(12)])
    assert saved.people.count("training") == 12
    assert (saved.card.kind, saved.rois, len(saved.contrasts)) == ("linear", 5, 2)
    assert bids_dtg.load_bundle(tmp_path / "own").identity == saved.identity
    assert model.half_widths.shape == maps[0].shape
    np.testing.assert_allclose(
        saved.half_widths.at_places, model.half_widths, rtol=0.05
    )
    np.testing.assert_allclose(saved.mean, average, atol=1e-6)
    errors = [np.abs(model.predict(rest[n]) - maps[n]) for n in (12, 13)]
    assert 0.8 < np.mean(errors <= model.half_widths) <= 1
    with pytest.raises(ValueError, match="there are 4 people: fewer than 5"):
        bids_dtg.fit_linear(rest[:4], maps[:4])
    with pytest.raises(ValueError, match=r"different numbers of places: \[59, 60\]"):
        bids_dtg.fit_linear([series[1:] for series in rest], maps)
    for wrong in (rest[3][:, 0], rest[3][:, :0]):
        with pytest.raises(ValueError, match=r"of person 3 has the shape \(60,"):
            bids_dtg.fit_linear([*rest[:3], wrong, *rest[4:]], maps)
    with pytest.raises(ValueError, match=r"different numbers of places: \[59, 60\]"):
        bids_dtg.fit_linear(rest, maps, roi_maps=[np.ones((2, 59))])
    for wrong in (np.full_like(rest[3], np.nan), np.ones_like(rest[3])):
        unusable = [*rest[:3], wrong, *rest[4:]]
        with pytest.raises(ValueError, match="the rest of person 3 has values"):
            bids_dtg.fit_linear(unusable, maps)


VOXELS = VoxelPlaces(Grid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0])), np.arange(216))


def few_people(count, seed=0):
    rng = np.random.default_rng(seed)
    people = []
    for number in range(count):
        x = rng.uniform(-1, 1, (1, 3, 216)).astype(np.float16)
        maps = x.mean(axis=0)[:2].astype(np.float32)
        people.append(Person(f"{seed}{number}", x, (300.0,), (maps,), minutes=100.0))
    return people


def fit_few(training):
    data = FitData(training, (), VOXELS)
    return linear.fit(data, None, None, lambda _: None)


def test_five_people_are_enough_and_nobody_else_is_needed(tmp_path):
    training = few_people(5)
    fitted = fit_few(training)
    assert fitted.record == {
        "linear": {"sets": (3,), "participants": 5, "minutes": 500.0, "strength": 4.0}
    }
    assert (fitted.correction.gains > 0.5).all()
    new = few_people(1, seed=4)[0]
    corrected = fitted.correction.apply(predicted_maps(fitted.model.predict, new))
    average = mean_maps(training)
    assert (
        np.square(corrected - new.maps).mean()
        < 0.5 * np.square(average - new.maps).mean()
    )
    path = tmp_path / "weights.safetensors"
    path.write_bytes(encode_arrays(fitted.tensors))
    weights = TensorFile(path)
    assert linear.channels(weights) == (3, 2)
    connectome = new.connectomes[0].astype(np.float32)
    back = linear.prepare(weights, VOXELS).predict(connectome)
    np.testing.assert_allclose(
        back, fitted.model.predict(connectome), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(
        BundleError, match="does not fit the mask: means need 215 columns"
    ):
        linear.read(weights, VoxelPlaces(VOXELS.grid, np.arange(215)))


def test_gaps_count_nowhere():
    cohort = few_people(6)
    cohort[0].maps[1] = np.nan
    cohort[1].maps[:, :100] = np.nan
    fitted = fit_few(cohort)
    assert np.isfinite(fitted.correction.offset).all()
    assert (fitted.correction.gains > 0.5).all()
