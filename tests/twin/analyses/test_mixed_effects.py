"""A model without a network, as users make it from event files alone, judge it and use it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hidden_packages import EXTRAS, without
from tiny_twins import LABELS, arguments, events_of, write_twins

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.own_trials import ROWS

SEEN, NEW, OWN = LABELS[:4], LABELS[4:], ("--own-trials", "6")
MIXED = ("--architecture", "mixed-effects")
CALLS = """
import json, sys
from bids_dtg.cli.run import main
print(json.dumps([main(words) for words in json.load(sys.stdin)]))
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the people's files and of all output of one process without torch."""
    folder = write_twins(tmp_path_factory.mktemp("people"))
    (folder / "connectomes.npz").unlink()
    shutil.rmtree(folder / "bids" / f"sub-{NEW[1]}")
    shutil.copytree(folder / "bids" / f"sub-{NEW[0]}", folder / "bids" / f"sub-{NEW[1]}")
    for path in (folder / "bids" / f"sub-{NEW[1]}").rglob("*_events.tsv"):
        path.rename(path.with_name(path.name.replace(NEW[0], NEW[1])))
    change_later(folder, NEW[1])
    out = folder / "out"
    calls = [
        group(folder, out, "train", *MIXED, "--participant-label", *SEEN),
        group(folder, out, "evaluate", "--model", "own", *OWN),
        participant(folder, out, *OWN),
        group(folder, folder / "folds", "evaluate", *MIXED, "--folds", "2", *OWN),
    ]
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        input=json.dumps(calls),
        env=without(folder / "hidden", *EXTRAS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 0, 0, 0], done.stderr
    return folder


def group(folder: Path, out: Path, analysis: str, *more: str) -> list[str]:
    return arguments(folder, out, analysis, *more, arrays=None)


def participant(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        *(str(folder / "bids"), str(out), "participant", "--workflow", "twin", "--model"),
        *(str(folder / "out" / "group" / "model-own" / "bundle"), "--nprocs", "1"),
        *("--participant-label", *NEW, *more),
    ]


def change_later(folder: Path, label: str) -> None:
    """Give a person other responses after the known trials."""
    for task in ("hammerAP", "stroopAP"):
        path = events_of(folder, label, task)
        events = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        times = events.response_time.to_numpy(copy=True)
        times[6:] = times[6:][::-1]
        assert (times != events.response_time).any()
        events.assign(response_time=times).to_csv(path, sep="\t", index=False)


def predicted(out: Path, label: str) -> pd.DataFrame:
    (path,) = out.glob(f"sub-{label}/func/*_desc-twin_trials.tsv")
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def test_later_trials_of_people_with_event_files_alone_are_predicted(folder: Path) -> None:
    found = predicted(folder / "out", NEW[0])
    assert found.groupby("task_name").known.sum().to_dict() == {"faces": 6, "stroop": 6}
    later = found[~found.known]
    assert set(later.predicted_from) == {"closed_form"}
    assert later.predicted_rt_q50_seconds.between(0.2, 2.5).all()
    assert found[found.known].predicted_rt_q50_seconds.isna().all()
    assert "group_rt_seconds" not in found
    page = (folder / "out" / f"sub-{NEW[0]}.html").read_text()
    assert "Later trials, predicted from the first ones by the model own" in page
    assert "connectome cannot be read" not in page
    assert "No connectome" not in page


def test_later_responses_reach_no_prediction(folder: Path) -> None:
    one, other = (predicted(folder / "out", label) for label in NEW)
    names = [name for name in one if name.startswith(("predicted_", "p_"))]
    pd.testing.assert_frame_equal(one[names], other[names])
    assert (one.observed_rt_seconds != other.observed_rt_seconds).any()


@pytest.mark.parametrize("name", ["out/group/evaluation-own", "folds/group/folds-own"])
def test_the_model_is_judged_beside_the_other_predictions(folder: Path, name: str) -> None:
    rows = read_rows(folder / name / "desc-own_trials_scores.tsv")
    assert {row["task"] for row in rows} == {"faces", "stroop"}
    assert {row["model"] for row in rows} == {"closed_form", *(row.name for row in ROWS)}
    assert {row["people"] for row in rows} == {"2" if "evaluation" in name else "6"}
    assert all(np.isfinite(float(row["value"])) for row in rows)
    page = (folder / name / "twin_report.html").read_text()
    (line,) = re.findall(r"CRPS of later responses, stroop: (.*?)\.<", " ".join(page.split()))
    assert re.match(r"this model is best|.* is best .* This model .* against it: too few", line)
    assert "the model is</th>" in page
    assert page.count("of answered trials (s)</th>") == 2


def test_people_of_the_training_are_known_again_by_what_they_did(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    shutil.copytree(folder / "bids", again / "bids")
    for path in (again / "bids" / f"sub-{SEEN[0]}").rglob("*_events.tsv"):
        path.rename(path.with_name(path.name.replace(SEEN[0], "new")))
    (again / "bids" / f"sub-{SEEN[0]}").rename(again / "bids" / "sub-new")
    bundle = str(folder / "out" / "group" / "model-own" / "bundle")
    given = ("--model", bundle, *OWN, "--data-set", "elsewhere", "--dry-run")
    assert main(group(again, tmp_path / "out", "evaluate", *given)) == 0
    said = capsys.readouterr().err
    assert f"trained on 4 of them ({', '.join([*SEEN[1:], 'new'])})" in said
    assert "by their labels alone" not in said


def test_a_dry_run_says_who_lacks_trials(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = tmp_path / "fewer"
    shutil.copytree(folder / "bids", fewer / "bids")
    (fewer / "out").symlink_to(folder / "out")
    events_of(fewer, NEW[0], "hammerAP").unlink()
    path = events_of(fewer, NEW[0])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]))  # 6 trials
    for task in ("hammerAP", "stroopAP"):
        events_of(fewer, SEEN[3], task).unlink()
    call = participant(fewer, tmp_path / "none", *OWN, "--dry-run")
    call = [word for word in call if word not in ("--participant-label", *NEW)]
    assert main(call) == 1
    plan = capsys.readouterr().out
    assert f"left out: 1 participant without an event file ({SEEN[3]})" in plan
    assert f"sub-{NEW[0]}: would fail: no trial can be predicted: stroop: 6 own trials" in plan
    assert f"sub-{NEW[1]}: would write behaviour in faces, stroop by own" in plan


def refused() -> Iterator[tuple[str, tuple[str, ...], str]]:
    model = ("--model", "OWN")
    yield "participant", (), "--model own was given without --own-trials"
    yield "participant", (*OWN, "--gsr"), "--gsr was given with a mixed-effects model"
    yield "participant", ("--own-trials", "500"), "leave none to predict"
    yield "train", (*MIXED, "--epochs", "2"), "--epochs was given with a mixed-effects model"
    yield "train", (*MIXED, "--covariates", "age"), "--covariates was given with a mixed-effects"
    yield "train", (*MIXED, "--participant-label", *NEW), "2 participants would be trained on"
    yield "intervene", model, "a mixed-effects model, which has no network"
    yield "evaluate", model, "with a mixed-effects model and without --own-trials"
    yield "evaluate", (*model, "--own-trials", "500"), "leave none to predict"
    yield "evaluate", (*model, *OWN, *MIXED), "--architecture was given with --model"


@pytest.mark.parametrize(("what", "words", "line"), [*refused()])
def test_what_needs_a_network_or_leaves_nothing_is_refused_in_one_line(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    what: str,
    words: tuple[str, ...],
    line: str,
) -> None:
    bundle = str(folder / "out" / "group" / "model-own" / "bundle")
    given = [bundle if word == "OWN" else word for word in words]
    of_people = what == "participant"
    call = (
        participant(folder, tmp_path, *given, "--no-reports")
        if of_people
        else group(folder, tmp_path, what, *given)
    )
    assert main(call) == (1 if of_people and "500" in given else 2)
    assert line in " ".join(capsys.readouterr().err.split())
