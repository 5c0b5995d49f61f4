"""The parts of bundles beside the weights: written, read, applied, and refused where damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import forge, tiny_masks, write_tiny_bundle

from bids_dtg.connectome.training_distribution.distribution import (
    BEFORE_LEVEL,
    FIGURES,
    Basis,
    TrainingDistribution,
)
from bids_dtg.connectome.training_distribution.figure_statistics import Parts
from bids_dtg.connectome.training_distribution.pattern import PatternFigures
from bids_dtg.connectome.training_distribution.summary import ConnectomeSummary, LatticeBlocks
from bids_dtg.contrasts.bundle.arrays import (
    CALIBRATION_FILE,
    OFFSET_FILE,
    TRAINING_DISTRIBUTION_FILE,
    encode_offset,
    from_steps,
    read_offset,
    to_steps,
)
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError
from bids_dtg.stats.conformal import Calibration, PooledError
from bids_dtg.stats.true_maps import TrueError
from bids_dtg.stats.width_factors import BINS, WidthFactors


def tiny_correction(seed=0) -> Correction:
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=(3, int(tiny_masks()[1].sum()))) * [[0.1], [1.0], [10.0]]
    return Correction(np.array([0.5, 1.23456, 1.5], np.float32), offset.astype(np.float32))


def recentred(folder):
    return write_tiny_bundle(folder, correction=tiny_correction(), recentring=Recentring(40, 4))


def test_a_correction_comes_back_to_half_a_step(tmp_path):
    recentred(tmp_path / "tiny")
    correction, given = load_bundle(tmp_path / "tiny").correction, tiny_correction()
    np.testing.assert_allclose(correction.gains, given.gains, atol=5e-5)
    error = np.abs(correction.offset - given.offset).max(axis=1)
    assert (error <= 0.501 * np.abs(given.offset).max(axis=1) / 127).all()


def test_an_offset_of_zero_comes_back(tmp_path):
    (tmp_path / "x").write_bytes(encode_offset(np.zeros((2, 5), np.float32)))
    np.testing.assert_array_equal(read_offset(tmp_path / "x", 2, 5), np.zeros((2, 5)))


def test_the_correction_is_applied_after_the_network(tmp_path):
    plain, bundle = write_tiny_bundle(tmp_path / "plain"), recentred(tmp_path / "tiny")
    assert plain.correction is None
    x = np.random.default_rng(1).uniform(-1, 1, (4, plain.places.number)).astype(np.float32)
    before, after = (Model(model, "cpu", 1).predict(x) for model in (plain, bundle))
    expected = bundle.correction.gains[:, None] * before + bundle.correction.offset
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(after - before).max() > 1


def test_without_a_correction_the_card_says_nothing_of_it(tmp_path):
    content = json.loads((write_tiny_bundle(tmp_path / "tiny").path / "model.json").read_text())
    assert content["recentring"] is None
    assert content["gains"] is None
    assert set(content["files"]) == {
        *("brain_mask.nii.gz", "maps.nii.gz", "mask.nii.gz", "weights.safetensors")
    }
    # In the order of earlier versions, so that old bundles keep their identity.
    assert list(content)[-5:] == ["files", "recentring", "gains", "reference", "calibration"]


def test_gains_without_recentring_are_refused(tmp_path):
    with pytest.raises(BundleError, match="Expected: gains and recentring, or neither"):
        write_tiny_bundle(tmp_path / "tiny", correction=tiny_correction())


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"nothing", "cannot be read"),
        (safetensors.numpy.save({"offset": np.zeros((3, 4), np.int8)}), r"Expected: .*\(3, "),
    ],
)
def test_another_offset_is_refused(tmp_path, content, fact):
    bundle = recentred(tmp_path / "tiny")
    (bundle.path / "reference.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match="has changed"):
        load_bundle(bundle.path)
    card = json.loads((bundle.path / "model.json").read_text())
    card["files"]["reference.safetensors"] = hashlib.sha256(content).hexdigest()
    (bundle.path / "model.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=rf"reference\.safetensors .*{fact}"):
        load_bundle(bundle.path)


def tiny_calibration(bundle, block: int = 4) -> Calibration:
    rng = np.random.default_rng(0)
    contrasts = len(bundle.contrasts)
    lattice = bundle.places.lattice(block)
    values = rng.uniform(0.5, 2, size=(contrasts, *lattice.shape)).astype(np.float32)
    quantiles = np.sort(rng.uniform(0.5, 2, size=(contrasts, 2)).astype(np.float32), axis=1)
    return Calibration(20, 4, (50, 90), quantiles, PooledError(values, lattice))


def tiny_distribution(bundle, block: int = 4, figures: int = len(FIGURES)) -> TrainingDistribution:
    rng = np.random.default_rng(1)
    cells = len(LatticeBlocks.of(bundle.places.lattice(block).block_of).starts)
    rois = len(bundle.roi_maps)
    basis = Basis.fit(rng.normal(size=(30, rois, cells)).astype(np.float32), 30)
    samples = [
        Parts(
            n,
            rng.normal(size=(2, figures)),
            residual_dof=rng.uniform(50, 150, 2),
            memory_s=np.full(2, 2.0),
            seconds=np.full(2, 300.0),
            frames=np.full(2, 150.0),
        )
        for n in range(40)
    ]
    return TrainingDistribution.fit(basis, block, samples)


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


def test_people_in_each_cell_come_back(bundle, tmp_path):
    calibration = tiny_calibration(bundle)
    measured = np.full(calibration.pooled_error.values.shape, 20, np.int32)
    measured[0, 0] = 9
    few = dataclasses.replace(calibration, measured=measured)
    back = extend_bundle(bundle, tmp_path / "new", calibration=few).calibration
    np.testing.assert_array_equal(back.measured, measured)
    np.testing.assert_array_equal(back.without_interval, few.without_interval)
    assert 0 < back.without_interval[0].mean() < 1
    assert not back.without_interval[1:].any()


def test_calibration_and_range_come_back_as_they_were_to_the_rounding(bundle, tmp_path):
    calibration, training = tiny_calibration(bundle), tiny_distribution(bundle)
    extend_bundle(bundle, tmp_path / "new", calibration=calibration, training_distribution=training)
    back = load_bundle(tmp_path / "new")
    np.testing.assert_allclose(
        back.calibration.half_widths(90), calibration.half_widths(90), rtol=0.02
    )
    assert (back.calibration.participants, back.calibration.levels) == (20, (50, 90))
    for dof in (60.0, 120.0, np.nan):
        amounts = np.array([dof, 2.0, 300.0, 150.0])
        parts = Parts(0, np.zeros((3, len(FIGURES))), *np.tile(amounts[:, None], 3))
        expected = training.distance(parts)
        assert back.training_distribution.distance(parts) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(
        back.training_distribution.basis.mean,
        training.basis.mean,
        atol=np.ptp(training.basis.mean) / 200,
    )
    assert back.training_distribution.unusual == pytest.approx(training.unusual, abs=1e-4)


def test_half_widths_for_true_maps_and_factors_come_back(bundle, tmp_path):
    plain = tiny_calibration(bundle)
    true = TrueError(0.5 * plain.pooled_error.values, plain.pooled_error.lattice, 7)
    rng = np.random.default_rng(0)
    by_deviation = rng.uniform(0.8, 1.4, (2, BINS)).astype(np.float32)
    factors = WidthFactors(by_deviation, np.array([[1.2, 1.1, 1], [1.4, 1.2, 1]], np.float32))
    given = dataclasses.replace(
        plain,
        true_error=true,
        factors=factors,
        cleaning="study, simple",
        minutes=28.8,
        residual_dof=120.5,
    )
    made = extend_bundle(bundle, tmp_path / "new", calibration=given)
    back = load_bundle(made.path).calibration
    np.testing.assert_allclose(back.true_half_widths(90), given.true_half_widths(90), rtol=0.02)
    np.testing.assert_array_equal(back.factors.by_deviation, by_deviation)
    np.testing.assert_array_equal(back.factors.by_segments, factors.by_segments)
    assert (back.true_error.people, back.cleaning) == (7, "study, simple")
    assert (back.minutes, back.residual_dof) == (28.8, 120.5)
    assert not back.left_out_in_turn
    assert json.loads((made.path / "model.json").read_text())["format_version"] == 9


def test_a_calibration_of_an_older_program_says_nothing_of_true_maps(bundle, tmp_path):
    made = extend_bundle(bundle, tmp_path / "new", calibration=tiny_calibration(bundle))
    card = json.loads((made.path / "model.json").read_text())
    assert set(card["calibration"]) == {"participants", "segments", "levels", "block"}
    assert card["format_version"] < 9
    back = load_bundle(made.path).calibration
    assert (back.true_half_widths(90), back.factors, back.cleaning) == (None, None, "")


def test_fewer_people_with_a_retest_than_are_needed_are_refused(bundle, tmp_path):
    plain = tiny_calibration(bundle)
    true = TrueError(plain.pooled_error.values, plain.pooled_error.lattice, 7)
    given = dataclasses.replace(plain, true_error=true)
    made = extend_bundle(bundle, tmp_path / "new", calibration=given)
    card = json.loads((made.path / "model.json").read_text())
    card["calibration"]["retest"] = 1
    (made.path / "model.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match="1 people with a retest, fewer than 5"):
        load_bundle(made.path)


def test_a_range_of_fewer_figures_of_an_earlier_version_is_read_and_used(bundle, tmp_path):
    before = tiny_distribution(bundle, figures=len(BEFORE_LEVEL))
    extend_bundle(bundle, tmp_path / "old", training_distribution=before)
    card = json.loads((tmp_path / "old/model.json").read_text())
    assert card["reference"]["figures"] == list(BEFORE_LEVEL)
    back = load_bundle(tmp_path / "old").training_distribution
    assert back.figures == BEFORE_LEVEL
    mean = back.basis.mean
    pattern = PatternFigures(*[0.5] * 6)
    parts = back.parts([ConnectomeSummary(mean, pattern, 100.0, 2.0, 300.0, 150)])
    assert parts.figures.shape == (1, len(BEFORE_LEVEL))
    assert np.isfinite(back.distance(parts))


def test_all_else_is_the_same_to_the_byte(bundle, tmp_path):
    extend_bundle(bundle, tmp_path / "new", calibration=tiny_calibration(bundle))
    for name in bundle.card.files:
        assert (tmp_path / "new" / name).read_bytes() == (bundle.path / name).read_bytes()
    again = load_bundle(tmp_path / "new")
    assert again.training_distribution is None
    both = extend_bundle(again, tmp_path / "both", training_distribution=tiny_distribution(bundle))
    assert both.calibration is not None


def test_a_bundle_without_calibration_and_range_says_nothing(bundle):
    assert bundle.calibration is None
    assert bundle.training_distribution is None
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
        ("reference", "counted", "frames", "degrees of freedom or seconds"),
        ("reference", "counted", None, "is of an earlier version: it knows runs of one length"),
    ],
)
def test_a_card_that_does_not_fit_its_files_is_refused(bundle, tmp_path, field, key, value, fact):
    made = extend_bundle(
        bundle,
        tmp_path / "new",
        calibration=tiny_calibration(bundle),
        training_distribution=tiny_distribution(bundle),
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


@pytest.fixture
def whole(tmp_path):
    """Return a bundle with all the files of tensors that a bundle may have."""
    made = recentred(tmp_path / "corrected")
    calibration = tiny_calibration(made)
    measured = np.full(calibration.pooled_error.values.shape, 20, np.int32)
    return extend_bundle(
        made,
        tmp_path / "whole",
        calibration=dataclasses.replace(calibration, measured=measured),
        training_distribution=tiny_distribution(made),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_file_and_name(whole, value):
    tried = 0
    for name in (OFFSET_FILE, CALIBRATION_FILE, TRAINING_DISTRIBUTION_FILE):
        content = (whole.path / name).read_bytes()
        tensors = safetensors.numpy.load(content)
        for tensor, array in tensors.items():
            if array.dtype.kind == "f":
                changed = array.copy()
                changed.reshape(-1)[-1] = value
                forge(whole, name, safetensors.numpy.save(tensors | {tensor: changed}))
                with pytest.raises(BundleError, match=rf"{name} .*not finite in {tensor}"):
                    load_bundle(whole.path)
                tried += 1
        forge(whole, name, content)
    assert tried == 11
    assert load_bundle(whole.path).calibration is not None


@pytest.mark.parametrize(
    ("name", "tensor", "value", "fact"),
    [
        (OFFSET_FILE, "offset_scale", 1e38, "not finite in offset, by its offset_scale"),
        (CALIBRATION_FILE, "usual_error_scale", 1e38, "not finite in usual_error, by its"),
        (CALIBRATION_FILE, "quantiles", 3e38, "quantiles are 0 or more, and finite when"),
        (CALIBRATION_FILE, "quantiles", -1.0, "quantiles are 0 or more"),
        (TRAINING_DISTRIBUTION_FILE, "components_scale", 1e38, "not finite in components, by its"),
        (TRAINING_DISTRIBUTION_FILE, "between", 1e308, "has variances that are not above 0"),
        (TRAINING_DISTRIBUTION_FILE, "within", 1e308, "has variances that are not above 0"),
    ],
)
def test_values_that_overflow_are_refused(whole, name, tensor, value, fact):
    tensors = safetensors.numpy.load((whole.path / name).read_bytes())
    changed = tensors | {tensor: np.full_like(tensors[tensor], value)}
    forge(whole, name, safetensors.numpy.save(changed))
    with pytest.raises(BundleError, match=rf"{name}.*{fact}"):
        load_bundle(whole.path)


@pytest.mark.parametrize("gain", ["NaN", "Infinity", "1e300", '"0.5"', "null"])
def test_gains_are_finite(whole, gain):
    path = whole.path / "model.json"
    card = path.read_text()
    assert '"gains": [' in card
    path.write_text(re.sub(r'("gains": \[\s*)[^,]+', rf"\g<1>{gain}", card))
    with pytest.raises(BundleError, match=r"model\.json.*gains"):
        load_bundle(whole.path)


def test_rows_lose_half_a_step_at_most():
    rows = np.random.default_rng(0).normal(size=(3, 4, 5))
    rows[1] = 0
    steps, scale = to_steps(rows)
    lost = np.abs(from_steps(steps, scale) - rows).reshape(3, -1).max(axis=1)
    assert (lost <= scale / 2 + 1e-6).all()
    assert scale[0] == pytest.approx(np.abs(rows[0]).max() / 127)
