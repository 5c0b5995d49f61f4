"""Real people by parcel: ten to train on are enough for maps that tell others apart."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.inputs.arrays import read_arrays

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def command():
    """Load the study that makes the figures of the docs."""
    spec = importlib.util.spec_from_file_location("real_people", ROOT / "studies/real_people.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["real_people"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study(shared, command):
    folder = shared / "data" / "real" / "hcp30"
    if not (folder / "rest.npz").is_file():
        pytest.skip(f"no real people by parcel at {folder} (set DTG_SHARED)")
    files = [folder / "rest.npz", folder / "task.npz"]
    return command.Study(read_arrays(files, ["targets=beta", "contrasts=conditions"]), splits=3)


@pytest.fixture(scope="module")
def averages(command, study):
    found = {name: command.Averages() for name in command.FORMS}
    for split in study.drawn(training=10, test=10):
        space, runs = study.measured(split, None)
        for name, penalty in command.FORMS.items():
            sets = study.sets(split, runs, penalty, "linear")
            found[name].add(split.test, command.judged("linear", sets, space, study))
    return found


def test_the_partial_form_of_ten_people_shows_what_is_individual(averages):
    partial, marginal = averages["partial"], averages["marginal"]
    assert partial.mean("residual r") >= 0.12
    assert partial.mean("residual r") > marginal.mean("residual r") + 0.03
    assert partial.mean("identified") > 2 * marginal.mean("identified")
    assert partial.mean("r - group") > 0.003
    assert partial.mean("another's r - group") < 0


def test_people_train_or_are_tested(study):
    for split in study.drawn(training=15, test=5):
        assert not set(split.training) & set(split.test)
        assert (len(split.training), len(split.test)) == (15, 5)


def test_scores_of_a_person_are_averaged_over_splits_first(command):
    averages = command.Averages()
    one, two = np.zeros((2, 6)), np.ones((2, 6))
    averages.add(("a", "b"), one)
    averages.add(("a", "c"), two)  # a: 0.5, b: 0, c: 1
    assert averages.mean("residual r") == pytest.approx(0.5)
    averages.add(("a", "c"), two)
    assert averages.mean("residual r") == pytest.approx((2 / 3 + 0 + 1) / 3)
