"""`participant --workflow twin --own-trials`: later trials from the first ones, as users ask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_job import tree
from twin_job import FACES, STROOP, TwinJob

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.files.regions.relmat import read_relmat
from bids_dtg.twin.bundle.bundle import load_twin_bundle
from bids_dtg.twin.few_shot.prior import codes_of
from bids_dtg.twin.own_trials.first_trials import first_trials
from bids_dtg.twin.trial_series import stack_people
from bids_dtg.twin.trials import read_trials

KNOWN, TRIALS = 6, 18
SOURCES = ["connectome", "trials", "both", "closed_form"]
GIVEN = ("--own-trials", KNOWN)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TwinJob:
    made = TwinJob(tmp_path_factory.mktemp("twins"))
    for task in (FACES, STROOP):
        made.give("01", task)
    path = made.give("02", STROOP, lender=1)
    events = read(path)
    events["accuracy_binarized"] = "0.0"  # all are wrong
    write(path, events)
    made.model(own_trials=True)
    return made


@pytest.fixture(scope="module")
def performed(job) -> Path:
    """Return the output of a call that knows a person's first trials."""
    out = job.folder / "performed"
    assert job.run("--model", job.folder / "tiny", *GIVEN, out=out, reports=True) == 0
    return out


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def write(path: Path, events: pd.DataFrame) -> None:
    events.to_csv(path, sep="\t", index=False)


def rows(out: Path, label: str, what: str) -> pd.DataFrame:
    (path,) = out.glob(f"sub-{label}/func/*_desc-twin_{what}.tsv")
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def sidecar(out: Path, label: str) -> dict:
    (path,) = out.glob(f"sub-{label}/func/*_desc-twin_behaviour.json")
    return json.loads(path.read_text())


def test_the_rest_is_predicted_from_connectome_trials_both_and_without_a_network(job, performed):
    found = rows(performed, "01", "behaviour").query("task_name == 'stroop'")
    assert found.groupby("condition", sort=False).predicted_from.agg(list).tolist() == [SOURCES] * 3
    of_conditions = found[found.condition != "effect"]
    assert of_conditions.groupby("predicted_from").trials.sum().eq(TRIALS - KNOWN).all()
    assert found.own_trials.eq(KNOWN).all()
    sd = found.set_index("predicted_from").predicted_rt_sd_seconds
    assert sd["closed_form"].isna().all()
    assert (sd.drop("closed_form") > 0).all()
    assert sidecar(performed, "01")["OwnTrials"][1] == {
        "Task": "stroop",
        "Known": KNOWN,
        "Predicted": TRIALS - KNOWN,
        "PredictedFrom": SOURCES,
    }


def test_figures_are_those_of_the_models_posterior(job, performed):
    bundle = load_twin_bundle(job.folder / "tiny")
    (matrix,) = performed.glob("sub-01/func/*_relmat.tsv")
    events = read(next(job.raw.glob(f"sub-01/func/*{STROOP}*")))
    run = read_trials(bundle.part.tasks[1], events.to_dict("records"))
    segments = stack_people([[run]], tasks=bundle.part.task_set)
    fitted, prior = bundle.fitted(), bundle.few_shot().tasks[1]
    people = first_trials(segments, 1, KNOWN)
    codes = codes_of(fitted, upper_edges(read_relmat(matrix).values)[None])
    both = prior.predict(fitted, people, segments, codes)
    alone = prior.predict(fitted, people, segments, None)
    closed = prior.predict_without_network(people)
    table = rows(performed, "01", "behaviour").query("task_name == 'stroop'")
    table = table.set_index(["predicted_from", "condition"])
    masks = [people.later & (people.answers.condition == number) for number in (0, 1)]
    for source, expected in (("both", both), ("trials", alone)):
        for name, mask in zip(("congruent", "incongruent"), masks, strict=True):
            mean, sd = expected.mean(mask)
            row = table.loc[source, name]
            assert row.predicted_rt_seconds == pytest.approx(mean[0], abs=1e-5)
            assert row.predicted_rt_sd_seconds == pytest.approx(sd[0], abs=1e-5)
        effect, sd = expected.difference(masks[1], masks[0])
        row = table.loc[source, "effect"]
        assert row.predicted_rt_seconds == pytest.approx(effect[0], abs=1e-5)
        assert row.predicted_rt_sd_seconds == pytest.approx(sd[0], abs=1e-5)
    row = table.loc["closed_form", "congruent"]
    assert row.predicted_rt_seconds == pytest.approx(closed.mean_seconds[masks[0]].mean(), abs=1e-5)
    assert row.predicted_correct == pytest.approx(closed.shares[masks[0], 0].mean(), abs=1e-5)
    trials = rows(performed, "01", "trials").query("task_name == 'stroop'")
    found = trials[trials.predicted_from == "both"].predicted_rt_q50_seconds
    expected = both.distribution.quantile(0.5)[people.later]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_trial_is_known_or_predicted(performed):
    found = rows(performed, "01", "trials").query("task_name == 'stroop'")
    known = found[found.known]
    assert known.trial.tolist() == [*range(1, KNOWN + 1)]
    assert known.filter(regex="^p").isna().all(axis=None)
    assert found[~found.known].groupby("trial").predicted_from.agg(list).tolist() == [SOURCES] * 12


def test_who_has_no_trials_of_a_task_is_predicted_from_the_connectome(performed):
    found = rows(performed, "02", "behaviour").query("task_name == 'faces'")
    assert found.predicted_from.tolist() == ["connectome"] * 3
    assert not found.own_sequence.any()
    notes = sidecar(performed, "02")["Notes"]
    assert "faces: no own trials; predicted from the connectome alone" in notes


def test_runs_below_chance_are_kept_and_said(performed):
    notes = sidecar(performed, "02")["Notes"]
    assert (
        "stroop: below chance, 1 in 3, misses as errors: kept; buttons may have been swapped"
        in notes
    )
    assert set(rows(performed, "02", "behaviour").predicted_from) == set(SOURCES)


def test_the_page_says_what_needs_no_network(performed):
    page = (performed / "sub-01.html").read_text()
    assert "Own trials without a network do as well on real people: docs/tried.md" in page
    assert "6 first trials of stroop, which leave 12" in page
    assert "own trials, no network" in page
    assert "with own trials" in page  # a curve
    methods = (performed / "logs" / "CITATION.md").read_text()
    assert "the first 6 trials were known" in methods.replace("\n", " ")


@pytest.mark.slow
def test_no_later_trial_reaches_a_prediction(tmp_path):
    job = TwinJob(tmp_path, ("01",))
    path = job.give("01", STROOP)
    given = ("--model", job.model(own_trials=True), *GIVEN)
    assert job.run(*given, out=tmp_path / "one") == 0
    events = read(path)
    order = [*range(KNOWN), *reversed(range(KNOWN, TRIALS))]
    for column in ("response_time", "accuracy_binarized"):
        events[column] = events[column].to_numpy()[order]
    events.loc[TRIALS - 2, ["response_time", "accuracy_binarized"]] = "n/a"
    events.loc[TRIALS - 1, "response_time"] = "0.05"  # too fast to be scored
    write(path, events)
    assert job.run(*given, out=tmp_path / "other") == 0
    for what in ("behaviour", "trials"):
        one, other = (rows(tmp_path / out, "01", what) for out in ("one", "other"))
        predicted = one.filter(regex="^(predicted|p|group)_").columns
        assert len(predicted) > 3
        assert one[predicted].to_csv() == other[predicted].to_csv()
        assert one.observed_rt_seconds.to_csv() != other.observed_rt_seconds.to_csv()
    events.loc[0, "response_time"] = "1.9"
    write(path, events)
    assert job.run(*given, out=tmp_path / "third") == 0
    third = rows(tmp_path / "third", "01", "behaviour").set_index("predicted_from")
    first = rows(tmp_path / "one", "01", "behaviour").set_index("predicted_from")
    changed = (third.predicted_rt_seconds - first.predicted_rt_seconds).abs()
    assert (changed[["trials", "both", "closed_form"]] > 0).all()
    assert (changed["connectome"] == 0).all()


def test_what_was_made_is_skipped_until_the_number_or_the_trials_change(tmp_path, capsys):
    job = TwinJob(tmp_path, ("01",))
    path = job.give("01", STROOP)
    given = ("--model", job.model(own_trials=True))
    assert job.run(*given, "--own-trials", 500, "--dry-run") == 0
    plan = capsys.readouterr().out
    assert "behaviour in stroop by tiny, which knows the first 500 trials of own tasks" in plan
    line = "500 own trials of stroop leave none to predict: people have up to 18; ask for fewer"
    assert f"    stroop: {line}; predicted from the connectome alone" in plan
    assert job.run(*given, "--own-trials", 500) == 0
    assert f"{line}; predicted from the connectome alone" in capsys.readouterr().err
    assert set(rows(job.out, "01", "behaviour").predicted_from) == {"connectome"}
    assert job.run(*given, *GIVEN) == 0
    assert "1 average of results made" in capsys.readouterr().err
    before = tree(job.out)
    assert job.run(*given, *GIVEN) == 0
    assert "0 averages of results made, 1 complete before" in capsys.readouterr().err
    assert tree(job.out) == before
    path.write_text(path.read_text().replace("0.9018738561766534", "0.95"))
    assert job.run(*given, *GIVEN) == 0
    assert "1 average of results made" in capsys.readouterr().err


def test_what_own_trials_need_is_asked_for_before_anything_is_read(tmp_path, capsys):
    job = TwinJob(tmp_path, ("01",))
    job.give("01", STROOP)
    assert job.run(*GIVEN) == 2
    assert "--own-trials was given without --model. Expected: the model" in capsys.readouterr().err
    assert job.run("--model", job.model(), *GIVEN) == 2
    line = capsys.readouterr().err
    assert "does not keep what own trials are compared with" in line
    assert "train the model again" in line
    assert not job.out.exists()
