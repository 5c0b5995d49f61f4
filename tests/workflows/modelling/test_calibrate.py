"""The group level's calibration: intervals that hold, on people who were not trained on."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from tiny_cohort import TinyCohort

from bids_dtg.bundles.bundle import load_bundle


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    labels = tuple(f"{n:02d}" for n in range(1, 13))
    return TinyCohort(tmp_path_factory.mktemp("cohort"), labels)


@pytest.fixture(scope="module")
def ridge(cohort):
    words = ("--architecture", "local-ridge", "--held-out", "0.25", "0.25")
    assert cohort.analyse("train", *words) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


def test_intervals_need_people_whom_the_model_was_not_trained_on(cohort, ridge, capsys):
    assert cohort.analyse("calibrate", "--model", ridge.path, "--model-name", "sure") == 2
    assert "too few for intervals" in capsys.readouterr().err


def test_a_calibrated_model_is_not_judged_on_whom_it_was_trained_on(cohort, tmp_path, capsys):
    more = [f"{n:02d}" for n in range(1, 3)]
    split = tmp_path / "split.tsv"
    sets = dict.fromkeys(more, "training") | {"03": "validation", "04": "validation"}
    split.write_text("participant_id\tset\n" + "".join(f"sub-{p}\t{s}\n" for p, s in sets.items()))
    words = ("--architecture", "local-ridge", "--split-file", split, "--model-name", "two")
    assert cohort.analyse("train", *words) == 0
    for analysis, name, more in (("calibrate", "both", "two"), ("evaluate", "fair", "both")):
        model = cohort.out / f"group/model-{more}/bundle"
        assert cohort.analyse(analysis, "--model", model, "--model-name", name) == 0
        assert "left out: 2 participants, on whom the model was trained" in capsys.readouterr().err


def test_a_calibrated_model_has_intervals_that_hold(cohort, tmp_path, ridge, capsys):
    model = shutil.copytree(ridge.path, tmp_path / "bundle")
    words = ("--model", model, "--model-name", "sure")
    assert cohort.analyse("calibrate", *words) == 0
    made = load_bundle(cohort.out / "group/model-sure/bundle")
    assert made.calibration.participants == 12
    told = capsys.readouterr().err
    share = float(told.split("intervals of 90 % hold ")[1].split(" %")[0])
    assert share == pytest.approx(90, abs=3)
    # Signal and noise of the maps have a standard deviation of 1.12.
    assert np.median(made.calibration.half_widths(90)) == pytest.approx(1.64 * 1.12, rel=0.15)
