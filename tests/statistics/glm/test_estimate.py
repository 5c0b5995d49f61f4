from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_dtg.inputs.task.model_file import GlmModel
from bids_dtg.inputs.task.trials import Trials
from bids_dtg.statistics.glm.estimate import (
    CENSORED,
    Design,
    Estimate,
    combine_runs,
    fit_run,
    make_design,
)

FRAMES, TR = 120, 1.5
MODEL = GlmModel("t", {"d": {"go": 1.0, "stop": -1.0}})


def trials(rng, n=24):
    onset = np.cumsum(rng.uniform(4, 9, n)) - 4
    condition = tuple(rng.permutation(["go", "stop", "no name!"] * (n // 3)))
    return Trials(onset, np.full(n, 2.0), condition).chosen(onset < FRAMES * TR)


def by_hand(series, found, confounds, **options):
    """Fit by nilearn's own model: effect, variance and z of go - stop."""
    from nilearn.glm.first_level import FirstLevelModel

    shape = (series.shape[1], 1, 1)
    # In double precision, as here: nilearn computes in that of the image.
    image = nib.Nifti1Image(series.astype(np.float64).T.reshape(*shape, -1), np.eye(4))
    mask = nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4))
    plain = {"go": "go", "stop": "stop", "no name!": "other"}
    events = pd.DataFrame(
        {
            "onset": found.onset_s,
            "duration": found.duration_s,
            "trial_type": [plain[name] for name in found.condition],
        }
    )
    model = FirstLevelModel(
        t_r=TR, mask_img=mask, high_pass=1 / 128, minimize_memory=False, **options
    )
    model.fit(image, events=events, confounds=confounds)
    maps = model.compute_contrast("go - stop", output_type="all")
    return [
        maps[name].get_fdata().reshape(-1) for name in ("effect_size", "effect_variance", "z_score")
    ]


@pytest.mark.parametrize(
    ("hrf", "noise", "ref"),
    [("spm", "ar1", 0.0), ("glover + derivative", "ar1", 0.5), ("spm", "ols", 0.5)],
)
@pytest.mark.filterwarnings("ignore")
def test_a_run_is_fitted_as_by_nilearns_own_model(rng, hrf, noise, ref):
    found = trials(rng)
    confounds = pd.DataFrame(rng.standard_normal((FRAMES, 3)), columns=["x", "y", "constant_no"])
    series = rng.normal(100, 3, (FRAMES, 40)).cumsum(axis=0) * 0.02 + rng.normal(
        500, 5, (FRAMES, 40)
    )
    series = series.astype(np.float32)
    model = GlmModel("t", MODEL.contrasts, hrf=hrf, noise_model=noise)
    design = make_design(
        found,
        model,
        frames=FRAMES,
        tr_seconds=TR,
        slice_time_ref=ref,
        confounds=confounds.to_numpy(),
        confound_names=list(confounds),
    )
    assert design.conditions == ("go", "no name!", "stop")
    fit = fit_run(series, design, {"d": design.vector(MODEL.contrasts["d"])}, noise)
    wanted = by_hand(series, found, confounds, hrf_model=hrf, noise_model=noise, slice_time_ref=ref)
    estimate = fit.estimates["d"]
    for own, theirs in zip((estimate.effect, estimate.variance, estimate.z), wanted, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())
    assert fit.dof == design.residual_dof
    assert np.all((fit.task_r_squared >= 0) & (fit.r_squared <= 1))


def test_places_are_fitted_alone(rng):
    design = make_design(trials(rng), MODEL, frames=FRAMES, tr_seconds=TR)
    series = rng.normal(100, 1, (FRAMES, 30)).astype(np.float32)
    vector = {"d": design.vector(MODEL.contrasts["d"])}
    whole = fit_run(series, design, vector)
    parts = fit_run(series, design, vector, at_once=7)
    np.testing.assert_array_equal(whole.estimates["d"].z, parts.estimates["d"].z)
    np.testing.assert_array_equal(whole.r_squared, parts.r_squared)


@pytest.mark.filterwarnings("ignore")
def test_runs_are_combined_as_nilearn_does(rng):
    from nilearn.glm import compute_fixed_effects

    runs = [
        Estimate(*np.float32([rng.normal(size=50), rng.uniform(0.5, 2, 50), np.zeros(50)]))
        for _ in range(3)
    ]
    made = combine_runs(runs, [30, 40, 50])

    def image(values):
        return nib.Nifti1Image(values.reshape(5, 5, 2).astype(np.float64), np.eye(4))

    mask = nib.Nifti1Image(np.ones((5, 5, 2), np.uint8), np.eye(4))
    effect, variance, _, z = compute_fixed_effects(
        [image(run.effect) for run in runs],
        [image(run.variance) for run in runs],
        mask,
        precision_weighted=True,
        dofs=[30, 40, 50],
    )
    for own, theirs in ((made.effect, effect), (made.variance, variance), (made.z, z)):
        np.testing.assert_allclose(own, theirs.get_fdata().reshape(-1), rtol=1e-5, atol=1e-6)
    assert combine_runs(runs[:1], [30]) is runs[0]


def test_contrasts_that_the_data_cannot_decide_on_are_known(rng):
    design = make_design(trials(rng), MODEL, frames=FRAMES, tr_seconds=TR)
    double = Design(
        ("go", "stop", *design.columns[2:]),
        np.column_stack([design.values[:, :1], design.values[:, :1], design.values[:, 2:]]),
        ("go", "stop"),
        2,
    )
    assert double.rank == len(double.columns) - 1
    assert not double.is_estimable(double.vector({"go": 1.0}))
    assert double.is_estimable(double.vector({"go": 1.0, "stop": 1.0}))
    assert design.is_estimable(design.vector({"go": 1.0}))
    with pytest.raises(KeyError, match="nothing"):
        design.vector({"nothing": 1.0})


def test_inflation_is_one_for_columns_that_do_not_correlate():
    t = np.arange(64)
    waves = np.stack([np.cos(2 * np.pi * k * t / 64) for k in (1, 2)] + [np.ones(64)], axis=1)
    design = Design(("a", "b", "constant"), waves, ("a", "b"), 2)
    vector = design.vector({"a": 1.0, "b": -1.0})
    assert design.inflation(vector) == pytest.approx(1.0)
    assert design.efficiency(vector) == pytest.approx(16.0)  # 1 / (1/32 + 1/32)
    mixed = Design(
        design.columns, waves @ np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 1]]), ("a", "b"), 2
    )
    # One regressor beside another with r = 0.8: 1 / (1 - r²).
    assert mixed.inflation(mixed.vector({"a": 1.0})) == pytest.approx(1 / 0.36)
    assert design.efficiency(vector) > mixed.efficiency(vector)


def test_censored_frames_do_not_count_as_explained(rng):
    spike = np.zeros((FRAMES, 1))
    spike[0] = 1
    design = make_design(
        trials(rng),
        MODEL,
        frames=FRAMES,
        tr_seconds=TR,
        confounds=spike,
        confound_names=[f"{CENSORED}0000"],
    )
    assert not design.counted[0]
    assert design.counted[1:].all()
    series = rng.normal(100, 1, (FRAMES, 20)).astype(np.float32)
    series[0] += 500
    assert fit_run(series, design, {}).r_squared.max() < 0.4


def test_cosines_of_the_table_take_the_place_of_others(rng):
    found = trials(rng)
    wave = np.cos(np.pi * np.arange(FRAMES) / FRAMES)[:, None]
    options = {"frames": FRAMES, "tr_seconds": TR, "confounds": wave}
    assert "drift_1" in make_design(found, MODEL, **options, confound_names=["x"]).columns
    table = make_design(found, MODEL, **options, confound_names=["cosine00"])
    assert "drift_1" not in table.columns


def test_a_design_of_another_length_is_refused(rng):
    design = make_design(trials(rng), MODEL, frames=FRAMES, tr_seconds=TR)
    with pytest.raises(ValueError, match="a design of 120 frames, and a series of 60"):
        fit_run(np.ones((60, 2), np.float32), design, {})


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_confounds_of_any_size_and_of_none_leave_the_design_as_it_is():
    rng = np.random.default_rng(3)
    found, own = trials(rng), rng.standard_normal((FRAMES, 2))
    spike = (np.arange(FRAMES) == 4).astype(float)[:, None]
    names = ("a", "b", "flat", "censored_frame0004")
    series = (100 + rng.standard_normal((FRAMES, 5))).astype(np.float32)
    fits = []
    for size in (1.0, 1e60):
        confounds = np.hstack([own * [1, size], np.zeros((FRAMES, 1)), spike])
        design = make_design(
            found,
            MODEL,
            frames=FRAMES,
            tr_seconds=TR,
            confounds=confounds,
            confound_names=names,
        )
        assert np.flatnonzero(~design.counted).tolist() == [4]
        vector = design.vector(MODEL.contrasts["d"])
        assert design.is_estimable(vector)
        fits.append(fit_run(series, design, {"d": vector}, "ols").estimates["d"].z)
    assert np.ptp(fits[0]) > 0.1
    np.testing.assert_allclose(fits[1], fits[0], rtol=1e-4)
