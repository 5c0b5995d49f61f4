"""`participant --workflow twin` as users type it: from NIfTI to connectomes and behaviour."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from maps_job import tree
from network_job import FRAMES, REGIONS, network_bold
from twin_bundle import TINY_TWIN_RECIPE
from twin_job import EDGES, FACES, STROOP, TwinJob

from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.files.regions import read_relmat, read_series
from bids_dtg.inputs.rest_sketch import sketch_edges
from bids_dtg.twin.adjustment import Adjustment
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.decoding import decode
from bids_dtg.twin.judging.scores import outcome_shares
from bids_dtg.twin.trial_series import stack_people
from bids_dtg.twin.trials import read_trials

STEM = "space-MNI152NLin6Asym_atlas-Slabs"
RESIDUAL_DOF = "ResidualDegreesOfFreedom"


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TwinJob:
    finished = TwinJob(tmp_path_factory.mktemp("twins"))
    finished.give("01", FACES)
    finished.give("01", STROOP)
    finished.give("02", STROOP, lender=1)
    return finished


@pytest.fixture(scope="module")
def performed(job) -> Path:
    """Return the output of a call with a model."""
    out = job.folder / "performed"
    assert job.run("--model", job.model(), out=out) == 0
    return out


def table(out: Path, label: str, what: str, extension: str = ".tsv") -> Path:
    (path,) = out.glob(f"sub-{label}/func/*{STEM}_{what}{extension}")
    return path


def rows(out: Path, label: str, what: str) -> pd.DataFrame:
    return pd.read_csv(
        table(out, label, what), sep="\t", na_values="n/a", keep_default_na=False
    )


def edges_of(path: Path) -> np.ndarray:
    return read_relmat(path).values


def z_of(path: Path) -> np.ndarray:
    """Return Fisher z of the series in a table, NaN on the diagonal."""
    series = read_series(path)
    r = np.corrcoef(series.values[:, series.keep].astype(float))
    np.fill_diagonal(r, np.nan)
    return np.arctanh(r)


@pytest.mark.slow
def test_connectomes_alone_without_a_model(tmp_path, capsys):
    job = TwinJob(tmp_path)
    job.give("01", STROOP)
    assert job.run() == 0
    assert "connectomes alone, as no --model was given" in capsys.readouterr().err
    edges = edges_of(table(job.out, "01", "stat-fisherz_relmat"))
    expected = z_of(table(job.out, "01", "stat-mean_timeseries"))
    np.testing.assert_allclose(edges, expected, atol=1e-5)
    sidecar = json.loads(
        table(job.out, "01", "stat-fisherz_relmat", ".json").read_text()
    )
    assert (sidecar["Atlas"]["Key"], len(sidecar["Atlas"]["SHA256"])) == ("Slabs", 64)
    assert (sidecar["InputType"], sidecar["DenoiseStrategy"]) == ("fmriprep", "simple")
    assert sidecar["FramesKept"] == FRAMES
    assert not [*job.out.rglob("*_behaviour.tsv"), *job.out.rglob("*_trials.tsv")]
    before = tree(job.out)
    assert job.run() == 0
    assert "0 sets of results written, 2 already complete" in capsys.readouterr().err
    assert tree(job.out) == before
    assert job.run("--verify") == 0
    assert "sub-01: complete (1 set of results)" in capsys.readouterr().out
    table(job.out, "01", "stat-fisherz_relmat").write_text("damaged")
    assert job.run("--verify") == 1
    assert job.run() == 0
    assert "1 set of results written, 1 already complete" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_of_a_set_count_by_what_cleaning_has_left_of_them(tmp_path, capsys):
    job = TwinJob(tmp_path, ())
    for number, frames in ((1, FRAMES), (2, 70), (3, 46)):
        bold = network_bold(number, frames)
        job.add_run("01", entities=f"run-{number}", bold=bold, frames=frames)
    assert job.run("--min-minutes", 3) == 0
    assert "sub-01_task-rest_run-3 was left out" in capsys.readouterr().err
    series = sorted(job.out.rglob("*_stat-mean_timeseries.tsv"))
    dof = [
        json.loads(path.with_suffix(".json").read_text())[RESIDUAL_DOF]
        for path in series
    ]
    assert len(set(dof)) == 2
    expected = sum(w * z_of(path) for w, path in zip(dof, series, strict=True)) / sum(
        dof
    )
    path = table(job.out, "01", "stat-fisherz_relmat")
    assert path.name == f"sub-01_task-rest_{STEM}_stat-fisherz_relmat.tsv"
    np.testing.assert_allclose(edges_of(path), expected, atol=1e-5)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["RunsWeightedBy"] == RESIDUAL_DOF
    assert [run["Weight"] for run in sidecar["Runs"]] == dof
    assert [*sidecar["ExcludedRuns"]] == ["sub-01_task-rest_run-3"]
    assert job.run("--combine", "run", "--min-minutes", 3, out=tmp_path / "each") == 1
    assert len([*(tmp_path / "each").rglob("*_stat-fisherz_relmat.tsv")]) == 2


def test_what_is_observed_is_what_the_event_file_has(job, performed):
    events = pd.read_csv(
        next(job.raw.glob(f"sub-01/func/*{STROOP}*")), sep="\t", na_values="n/a"
    )
    times = events[events.trial_type.str.startswith("con")].response_time
    behaviour = rows(performed, "01", "desc-twin_behaviour").set_index(
        ["task_name", "condition"]
    )
    row = behaviour.loc["stroop", "congruent"]
    assert row.trials == len(times)
    assert row.observed_rt_seconds == pytest.approx(times.mean(), abs=1e-4)
    assert row.observed_median_rt_seconds == pytest.approx(times.median(), abs=1e-4)
    effect = behaviour.loc["stroop", "effect"]
    second = behaviour.loc["stroop", "incongruent"]
    for name in ("predicted_rt_seconds", "observed_rt_seconds", "predicted_correct"):
        assert effect[name] == pytest.approx(second[name] - row[name], abs=2e-5)


def test_the_twin_of_the_connectome_performs_the_persons_own_trials(job, performed):
    bundle = TwinBundle.load(job.folder / "tiny")
    edges = upper_edges(edges_of(table(performed, "02", "stat-fisherz_relmat")))
    events = pd.read_csv(next(job.raw.glob("sub-02/func/*")), sep="\t", dtype=str)
    run = read_trials(bundle.part.tasks[1], events.fillna("n/a").to_dict("records"))
    segments = stack_people([[run]], tasks=bundle.part.task_set)
    fitted = bundle.fitted()
    written = rows(performed, "02", "desc-twin_trials").query("task_name == 'stroop'")
    twin, group = (
        decode(performance[0], segments.person(0))
        for performance in (
            fitted.perform(edges[None], segments),
            fitted.perform_group(segments),
        )
    )
    for share in (0.1, 0.5, 0.9):
        column = f"predicted_rt_q{share:.0%}_seconds".replace("%", "")
        np.testing.assert_allclose(written[column], twin.quantile(share), atol=2e-5)
    trials = segments.person(0).trials
    outcomes = outcome_shares(twin.ends, trials.correct_button)
    np.testing.assert_allclose(written.p_correct, outcomes[:, 0], atol=2e-5)
    np.testing.assert_allclose(written.p_miss, outcomes[:, 2], atol=2e-5)
    first = segments.person(0).trials.condition == 0
    row = (
        rows(performed, "02", "desc-twin_behaviour")
        .set_index("condition")
        .loc["congruent"]
    )
    for column, times in (
        ("group_rt_seconds", group.mean_seconds),
        ("predicted_rt_seconds", twin.mean_seconds),
    ):
        assert row[column] == pytest.approx(np.nanmean(times[first]), abs=2e-5)


def test_who_has_not_done_a_task_performs_somebody_elses_trials(performed):
    behaviour = rows(performed, "02", "desc-twin_behaviour")
    faces, stroop = (
        behaviour[behaviour.task_name == name] for name in ("faces", "stroop")
    )
    assert not faces.own_sequence.any()
    assert faces.filter(like="observed").isna().all(axis=None)
    assert faces.trials.sum() == 18
    assert stroop.own_sequence.all()
    assert stroop.observed_rt_seconds.notna().all()
    sidecar = json.loads(
        table(performed, "02", "desc-twin_behaviour", ".json").read_text()
    )
    assert sidecar["SequencesOfOthers"] == {"faces": "sub-01_task-hammerAP_events.tsv"}
    assert "not a measurement" in sidecar["Description"]
    trials = rows(performed, "02", "desc-twin_trials").query("task_name == 'faces'")
    assert (
        trials[["observed_rt_seconds", "observed_button", "observed_correct"]]
        .isna()
        .all(axis=None)
    )


@pytest.mark.slow
def test_changed_events_or_covariates_have_their_participants_made_again(
    tmp_path, capsys
):
    job = TwinJob(tmp_path)
    table = job.raw / "participants.tsv"
    table.write_text("participant_id\tage\nsub-01\t20\nsub-02\t30\n")
    adjustment = Adjustment(("age",), np.array([25.0]), np.full((1, EDGES), 0.01))
    job.give("01", STROOP)
    path = job.give("02", STROOP, lender=1)
    words = ("--model", job.model(adjustment=adjustment))
    assert job.run(*words) == 0
    before = tree(job.out / "sub-01")
    path.write_text(path.read_text().replace("con1", "con2"))
    tasks = "not performed, as there are no event files: faces"
    assert tasks in capsys.readouterr().err
    assert job.run(*words, "--dry-run", "-v") == 0
    plan = capsys.readouterr().out
    assert "sub-01_task-rest: complete, would be skipped" in plan
    assert "a connectome of 6 parcels and behaviour in stroop by tiny" in plan
    assert f"stroop: reads {path}" in plan
    assert job.run(*words) == 0
    assert "1 set of results written, 1 already complete" in capsys.readouterr().err
    assert tree(job.out / "sub-01") == before
    table.write_text(table.read_text().replace("20", "40"))
    assert job.run(*words, "--dry-run") == 0
    assert "would be skipped" not in capsys.readouterr().out
    path.write_text("onset\n1\n")
    assert job.run(*words) == 0
    assert f"sub-02_task-rest: {path.name} lacks the columns" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("published", [False, True])
def test_twins_with_bold_have_series_of_each_run(job, published, capsys):
    out, name = job.folder / f"series-{published}", f"bold-{published}"
    architecture = {}
    if published:  # networks output BOLD
        recipe = replace(TINY_TWIN_RECIPE, group_epochs=0)
        architecture = {"architecture": "hypernetwork", "recipe": recipe}
    model = job.model(name, bold=True, **architecture)
    assert job.run("--model", model, "--dry-run", "-v", out=out) == 0
    assert "faces: performs the trials of" in capsys.readouterr().out
    assert job.run("--model", model, out=out) == 0
    series = rows(out, "01", "desc-predicted_timeseries")
    assert [*series.columns] == ["events_file", "seconds", "a", "b", "c"]
    assert series.events_file.nunique() == 2
    assert series.b.isna().all()  # without signal
    for _, run in series.groupby("events_file"):
        np.testing.assert_allclose(np.diff(run.seconds), 0.8, atol=1e-3)
        # Outputs begin with the first segment.
        measured = run.a.notna().to_numpy()
        assert measured[-5:].all()
        assert measured.all() == (not published)
        assert run.a.std() > 0
    facts = json.loads(
        table(out, "01", "desc-predicted_timeseries", ".json").read_text()
    )
    assert facts["Units"] == "as task BOLD was given in training"


@pytest.mark.slow
def test_a_training_participant_is_reported(tmp_path, capsys):
    job = TwinJob(tmp_path, ())
    job.add_run("ann")
    job.give("ann", STROOP)
    assert job.run("--model", job.model(data_set="Toy")) == 0
    log = capsys.readouterr().err
    assert "tiny was fitted to this participant, so its fit does not test" in log
    assert "only by label" in log
    assert job.run("--model", job.model("other", data_set="Another")) == 0
    assert "was fitted to this participant" not in capsys.readouterr().err
    edges = upper_edges(edges_of(table(job.out, "ann", "stat-fisherz_relmat")))
    people = TrainingHashes.of_training("Another", {"bob": [sketch_edges(edges)]})
    model_of_people = job.model("known", people=people, data_set="Another")
    assert job.run("--model", model_of_people) == 0
    log = capsys.readouterr().err
    assert "known was fitted to this participant, so its fit does not test" in log
    assert "only by label" not in log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--atlases", "HCP", "Schaefer400", "Schaefer100"),
            "or a second one for task BOLD",
        ),
        (("--atlases", "HCP", "hcp"), "--atlases names two atlases HCP"),
        (("--atlases", "none"), "one atlas with --workflow twin"),
        (("--model", "{model}", "--atlases", "HCP"), "19 regions"),
        (("--model", "{renamed}"), "in the same order"),
        (
            ("--model", "{other}"),
            "the parcels of Slabs",
        ),
        (("--task-file", "flanker"), "there is no task 'flanker'"),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_start(
    job, capsys, words, message
):
    places = {
        "model": job.model(),
        "renamed": job.model("renamed", regions=REGIONS[::-1]),
        "other": job.model("other", atlas="Slabs", atlas_digest="0" * 64),
    }
    assert (
        job.run(*(word.format(**places) for word in words), out=job.folder / "never")
        == 2
    )
    assert message in capsys.readouterr().err
    assert not (job.folder / "never").exists()
