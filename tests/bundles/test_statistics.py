"""Bundles that carry a calibration and statistics of their training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from bids_dtg.bundles.bundle import load_bundle
from bids_dtg.bundles.parts import from_steps, to_steps
from bids_dtg.bundles.writer import extend_bundle
from bids_dtg.connectome.range.training import FIGURES, Basis, Cells, TrainingRange
from bids_dtg.errors import BundleError
from bids_dtg.stats.conformal import Calibration, UsualError, lattice_shape


def tiny_calibration(bundle, block: int = 4) -> Calibration:
    rng = np.random.default_rng(0)
    contrasts = len(bundle.contrasts)
    lattice = lattice_shape(bundle.mask.shape, block)
    values = rng.uniform(0.5, 2, size=(contrasts, *lattice)).astype(np.float32)
    quantiles = np.sort(rng.uniform(0.5, 2, size=(contrasts, 2)).astype(np.float32), axis=1)
    return Calibration(20, 4, (50, 90), quantiles, UsualError(values, bundle.mask, block))


def tiny_range(bundle, block: int = 4) -> TrainingRange:
    rng = np.random.default_rng(1)
    cells = len(Cells.of(bundle.mask, block).starts)
    rois = len(bundle.roi_maps)
    basis = Basis.fit(rng.normal(size=(30, rois, cells)).astype(np.float32), 30)
    return TrainingRange.fit(basis, block, list(rng.normal(size=(40, len(FIGURES)))), 40)


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


def test_both_come_back_as_they_were_to_the_rounding(bundle, tmp_path):
    calibration, training = tiny_calibration(bundle), tiny_range(bundle)
    extend_bundle(bundle, tmp_path / "new", calibration=calibration, training_range=training)
    back = load_bundle(tmp_path / "new")
    np.testing.assert_allclose(
        back.calibration.half_widths(90), calibration.half_widths(90), rtol=0.02
    )
    assert (back.calibration.participants, back.calibration.levels) == (20, (50, 90))
    figures = np.zeros(len(FIGURES))
    assert back.training_range.distance(figures) == pytest.approx(training.distance(figures))
    np.testing.assert_allclose(
        back.training_range.basis.mean, training.basis.mean, atol=np.ptp(training.basis.mean) / 200
    )
    assert back.training_range.unusual == pytest.approx(training.unusual, abs=1e-4)


def test_all_else_is_the_same_to_the_byte(bundle, tmp_path):
    extend_bundle(bundle, tmp_path / "new", calibration=tiny_calibration(bundle))
    for name in bundle.card.files:
        assert (tmp_path / "new" / name).read_bytes() == (bundle.path / name).read_bytes()
    again = load_bundle(tmp_path / "new")
    assert again.training_range is None
    both = extend_bundle(again, tmp_path / "both", training_range=tiny_range(bundle))
    assert both.calibration is not None


def test_a_bundle_without_them_says_nothing(bundle):
    assert bundle.calibration is None
    assert bundle.training_range is None
    card = json.loads((bundle.path / "model.json").read_text())
    assert card["calibration"] is None
    assert card["reference"] is None


def test_an_existing_folder_is_left_alone(bundle):
    with pytest.raises(BundleError, match="exists"):
        extend_bundle(bundle, bundle.path, calibration=tiny_calibration(bundle))


@pytest.mark.parametrize(
    ("field", "key", "value", "fact"),
    [
        ("calibration", "levels", [90, 50], "levels rise"),
        ("calibration", "levels", ["90"], "whole numbers of percent"),
        ("calibration", "block", 3, "holds"),
        ("calibration", "more", 1, "unknown field calibration.more"),
        ("reference", "figures", ["other"], "reference.figures"),
        ("reference", "cells", 7, "holds"),
        ("reference", "unusual", -1, "reference.unusual"),
    ],
)
def test_a_card_that_does_not_fit_its_files_is_refused(bundle, tmp_path, field, key, value, fact):
    made = extend_bundle(
        bundle,
        tmp_path / "new",
        calibration=tiny_calibration(bundle),
        training_range=tiny_range(bundle),
    )
    path = made.path / "model.json"
    card = json.loads(path.read_text())
    card[field][key] = value
    path.write_text(json.dumps(card))
    with pytest.raises(BundleError, match=fact):
        load_bundle(made.path)


def test_a_field_without_its_file_is_refused(bundle, tmp_path):
    made = extend_bundle(bundle, tmp_path / "new", calibration=tiny_calibration(bundle))
    path = made.path / "model.json"
    card = json.loads(path.read_text())
    del card["files"]["calibration.safetensors"]
    path.write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"has calibration, but lists no calibration.safetensors"):
        load_bundle(made.path)


def test_rows_lose_half_a_step_at_most():
    rows = np.random.default_rng(0).normal(size=(3, 4, 5))
    rows[1] = 0
    steps, scale = to_steps(rows)
    lost = np.abs(from_steps(steps, scale) - rows).reshape(3, -1).max(axis=1)
    assert (lost <= scale / 2 + 1e-6).all()
    assert scale[0] == pytest.approx(np.abs(rows[0]).max() / 127)
