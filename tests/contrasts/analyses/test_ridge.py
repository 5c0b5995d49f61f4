"""The ridge is chosen by people who train, the smallest that is hardly worse, or stays as it is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.analyses.ridge import FEWEST_PEOPLE, RIDGES, choose_ridge
from bids_dtg.contrasts.people import Person
from bids_dtg.files.tensors import write_arrays
from bids_dtg.stats.linear import LinearBaseline
from bids_dtg.stats.splits import fold_people

ROIS, PLACES, CONTRASTS = 6, 80, 2
DEFAULT = Form("partial")


def people(count=24, noise=0.05, dof=3.0, seed=0):
    """Make people whose maps follow from coefficients with all ROIs that correlate much.

    What is read of them are the coefficients with noise of the correlations, through the ridge.
    """
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(ROIS, ROIS)) * 0.3 + 1
    gram = mixing @ mixing.T + 0.3 * np.eye(ROIS)
    scale = np.sqrt(np.diagonal(gram))
    gram /= scale[:, None] * scale
    slopes = rng.normal(size=(CONTRASTS, ROIS))
    mean = rng.normal(size=(ROIS, PLACES))
    found = []
    for number in range(count):
        own = mean + 0.5 * rng.normal(size=(ROIS, PLACES))
        maps = slopes @ own + 0.5 * rng.normal(size=(CONTRASTS, PLACES))
        marginal = gram @ own + noise * rng.normal(size=own.shape)
        values = DEFAULT.mixing(gram, dof) @ marginal
        found.append(
            Person(
                f"{number:02d}",
                values[None].astype(np.float16),
                (1.0,),
                (maps.astype(np.float32),),
                None,
                DEFAULT,
                gram[None],
                (dof,),
            )
        )
    return found


def test_without_noise_the_weakest_ridge_is_taken_and_with_much_a_strong_one():
    weak, strong = (choose_ridge(people(noise=noise), seed=0) for noise in (0.0, 0.3))
    assert weak.form == Form("partial", 0.0)
    assert strong.form.ridge >= 0.5
    assert tuple(strong.residual_r) == RIDGES
    assert strong.form.name == "partial"
    best, error = max(strong.residual_r.values())
    weaker = [r for ridge, (r, _) in strong.residual_r.items() if ridge < strong.form.ridge]
    assert strong.residual_r[strong.form.ridge][0] >= best - error
    assert all(r < best - error for r in weaker)
    # A weaker one than the best is taken, as it is hardly worse.
    assert strong.residual_r[strong.form.ridge][0] < best
    reported = strong.to_json()["connectome"]
    assert reported["ridge"] == strong.form.ridge
    assert reported["participants"] == 24
    assert set(reported["tried"]) == {f"{ridge:g}" for ridge in RIDGES}
    assert strong.line.startswith(f"ridge {strong.form.ridge:g}, the smallest whose residual r is")


def test_nobody_is_predicted_by_a_model_that_knows_them():
    some, form = people(noise=0.3), Form("partial", 0.5)
    found, _ = choose_ridge(some, seed=0).residual_r[form.ridge]
    folds = fold_people([person.label for person in some], 5, seed=0)
    rows = {person.label: row for row, person in enumerate(some)}
    x = np.concatenate([person.with_form(form).connectomes for person in some]).astype(np.float32)
    y = np.stack([person.maps for person in some])
    wanted = []
    for fold in folds:
        inside = [rows[label] for label in fold]
        others = np.setdiff1d(np.arange(len(some)), inside)
        model = LinearBaseline().fit(x[others], y[others])
        deviations = model.predict(x[inside]) - model.predict(x[others]).mean(axis=0)
        measured = y[inside] - y[others].mean(axis=0)
        for one, other in zip(deviations, measured, strict=True):
            wanted.append([np.corrcoef(one[q], other[q])[0, 1] for q in range(CONTRASTS)])
    assert found == pytest.approx(np.mean(wanted), abs=1e-5)


@pytest.mark.slow
def test_the_order_of_people_and_what_they_lack_do_not_matter_much():
    whole = people(noise=1.5)
    found, again = (choose_ridge(some, seed=0) for some in (whole, whole[::-1]))
    assert again.form == found.form
    for ridge in RIDGES:
        np.testing.assert_allclose(again.residual_r[ridge], found.residual_r[ridge], rtol=1e-5)
    whole[3].maps[:, :5] = np.nan
    whole[4].maps[0] = np.nan
    whole[5].maps[:] = np.nan
    lacking = choose_ridge(whole, seed=0)
    assert lacking.form == found.form
    np.testing.assert_allclose(
        [r for r, _ in lacking.residual_r.values()],
        [r for r, _ in found.residual_r.values()],
        atol=0.05,
    )


@pytest.mark.parametrize("families", [None, "one"])
def test_few_people_or_families_leave_it_as_it_is(families):
    some = people(FEWEST_PEOPLE - 1 if families is None else FEWEST_PEOPLE)
    known = families and dict.fromkeys((person.label for person in some), families)
    choice = choose_ridge(some, seed=0, families=known)
    assert choice.form == DEFAULT
    assert choice.line.endswith("participants are too few to choose it by")
    assert choice.to_json()["connectome"] == {
        "ridge": DEFAULT.ridge,
        "participants": len(some),
        "chosen": "default: few people",
    }


def test_people_who_do_not_differ_leave_it_as_it_is():
    (one, *_) = people()
    some = [replace(one, label=f"{number:02d}") for number in range(FEWEST_PEOPLE)]
    assert choose_ridge(some, seed=0).form == DEFAULT


def test_nothing_individual_leaves_it_as_it_is():
    some, others = people(), people(seed=1)
    mixed = [replace(one, sessions=two.sessions) for one, two in zip(some, others, strict=True)]
    choice = choose_ridge(mixed, seed=0)
    assert choice.form == DEFAULT
    assert choice.line.endswith("the linear model finds nothing individual in 24 participants")
    assert choice.to_json()["connectome"]["chosen"] == "default: nothing individual was found"


def test_a_form_without_a_ridge_stays_as_it_is():
    some = [replace(person, form=MARGINAL) for person in people()]
    choice = choose_ridge(some, seed=0)
    assert (choice.form, choice.line, choice.to_json()) == (MARGINAL, "", {})


@pytest.mark.parametrize(
    ("facts", "ridge"),
    [
        ({"form": {"name": "partial", "ridge": 0.5}}, 0.5),
        ({"form": {"name": "partial", "ridge": -1}}, 1.0),
        ({"form": {"name": "partial"}}, 1.0),
        ({"form": {"name": "other", "ridge": 0.5}}, 1.0),
        ({"form": 7}, 1.0),
        ({}, 1.0),
        ("[", 1.0),
    ],
)
def test_sums_of_other_sites_decide_and_what_is_wrong_with_them_is_left_to_their_reader(
    tmp_path, facts, ridge
):
    path = tmp_path / "sums.safetensors"
    write_arrays(path, {"a": np.zeros(1)}, {"facts": json.dumps(facts)})
    choice = choose_ridge(people(), seed=0, sums=[str(path)])
    assert choice.form == Form("partial", ridge)
    assert choice.line == f"ridge {ridge:g}, that of the sums of other sites"
    assert choice.to_json()["connectome"]["chosen"] == "that of the sums of other sites"
    assert choose_ridge(people(), seed=0, sums=[str(tmp_path / "none")]).form == DEFAULT
