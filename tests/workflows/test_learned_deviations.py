"""Training and calibration keep what their people's predictions have in common."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_cohort import TinyCohort

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.kind import Processor
from bids_dtg.files.array_store import ArrayStore

LABELS = tuple(f"{n:02d}" for n in range(1, 25))
TRAINED = LABELS[:12]
LINEAR = ("--architecture", "linear", "--connectome", "marginal", "--held-out", "0", "0")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), LABELS)


@pytest.fixture(scope="module")
def trained(cohort):
    words = (*LINEAR, "--participant-label", *TRAINED)
    assert cohort.analyse("train", *words) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


def predicted(cohort, bundle, labels):
    store, model = ArrayStore(cohort.out / "group/cache"), bundle.prepare(Processor())
    for label in labels:
        connectomes = store.read(f"sub-{label}/connectomes_of_whole_runs").astype(np.float32)
        maps = np.mean([model.predict(connectome) for connectome in connectomes], axis=0)
        yield bundle.correction.apply(maps)


def test_deviations_of_the_training_people_add_up_to_nothing(cohort, trained):
    found = trained.deviation
    assert (found.people, found.of, found.segments) == (12, "training", 1)
    maps = np.stack(list(predicted(cohort, trained, TRAINED)))
    own = maps.astype(np.float64) - found.mean
    assert np.abs(own).max() > 1e-4
    assert np.abs(own.sum(axis=0)).max() < 1e-5
    # In units of the spread, which is pooled over places.
    scaled = np.stack([found.deviations(one) for one in maps])[:, ~found.has_none]
    assert np.sqrt(np.square(scaled).sum(axis=0) / 11).mean() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_few_people_make_none_and_calibration_makes_some(cohort, trained, capsys):
    words = (*LINEAR, "--participant-label", *TRAINED[:6])
    assert cohort.analyse("train", *words, "--model-name", "few") == 0
    told = capsys.readouterr().err
    assert (
        "no deviations: 6 participants are too few for a person's deviation from the mean" in told
    )
    few = load_bundle(cohort.out / "group/model-few/bundle")
    assert few.deviation is None
    new = LABELS[12:]
    words = ("--participant-label", *new)
    assert cohort.analyse("calibrate", "--model", few.path, "--model-name", "sure", *words) == 0
    made = load_bundle(cohort.out / "group/model-sure/bundle")
    assert (made.deviation.people, made.deviation.of) == (12, "calibration")
    maps = np.stack(list(predicted(cohort, made, new))).astype(np.float64)
    assert np.abs((maps - made.deviation.mean).sum(axis=0)).max() < 1e-5


def test_calibration_leaves_those_of_the_training_people(cohort, trained):
    words = ("--model", trained.path, "--model-name", "kept", "--participant-label", *LABELS[12:])
    assert cohort.analyse("calibrate", *words) == 0
    made = load_bundle(cohort.out / "group/model-kept/bundle")
    assert made.calibration.participants == 12
    assert made.deviation.of == "training"
    np.testing.assert_array_equal(made.deviation.mean, trained.deviation.mean)
