"""The kind linear: few people are enough."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts import linear
from bids_dtg.contrasts.people import Person, mean_maps, predicted_maps
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.settings import Settings

PLACES = VoxelPlaces(Grid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0])), np.arange(216))


def people(count, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        x = rng.uniform(-1, 1, (1, 3, 216)).astype(np.float16)
        maps = x.mean(axis=0)[:2].astype(np.float32)
        made.append(Person(f"{seed}{number}", x, (300.0,), (maps,), minutes=100.0))
    return made


def fit(training):
    settings = Settings.of(bids_dir="in", output_dir="out", analysis_level="group")
    return linear.fit((training, ()), PLACES, Form("partial"), settings, None, lambda _: None)


def test_five_people_are_enough_and_nobody_else_is_needed(tmp_path):
    training = people(5)
    fitted = fit(training)
    assert fitted.record == {
        "linear": {"sets": (3,), "participants": 5, "minutes": 500.0, "strength": 4.0}
    }
    assert (fitted.correction.gains > 0.5).all()
    new = people(1, seed=4)[0]
    found = fitted.correction.apply(predicted_maps(fitted.model.predict, new))
    average = mean_maps(training)
    assert np.square(found - new.maps).mean() < 0.5 * np.square(average - new.maps).mean()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(encode_arrays(fitted.tensors))
    weights = TensorFile(path)
    assert linear.channels(weights) == (3, 2)
    connectome = new.connectomes[0].astype(np.float32)
    back = linear.prepare(weights, PLACES).predict(connectome)
    np.testing.assert_allclose(back, fitted.model.predict(connectome), rtol=1e-5, atol=1e-6)
    with pytest.raises(BundleError, match="does not fit the mask: means are of 215 places"):
        linear.read(weights, VoxelPlaces(PLACES.grid, np.arange(215)))


def test_too_few_people_are_refused_in_a_line():
    line = r"4 training participants: too few for a linear model\. Expected: 5 or more\. "
    with pytest.raises(DatasetError, match=line):
        fit(people(4))


def test_gaps_count_nowhere():
    cohort = people(6)
    cohort[0].maps[1] = np.nan
    cohort[1].maps[:, :100] = np.nan
    fitted = fit(cohort)
    assert np.isfinite(fitted.correction.offset).all()
    assert (fitted.correction.gains > 0.5).all()
