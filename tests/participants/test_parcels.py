"""A run's parcel series, against a plain implementation and nilearn."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import FRAMES, TR, add_rest, tiny_bold

from bids_dtg.cleaning.strategies import resolve
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.imaging.atlas import Atlas, find_atlas
from bids_dtg.imaging.grid import Grid, standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.participants.parcels import MeasuredSeries, SeriesReader, read_atlases
from bids_dtg.settings import CleaningOptions, InputOptions, Settings

PARCELS = 4
GRID = Grid(TINY_SHAPE, TINY_AFFINE)


def tiny_atlas() -> Atlas:
    """Cut the tiny grid in slabs, with background on its faces; labels are 10, 20, ..."""
    labels = np.zeros(TINY_SHAPE, np.int64)
    inner = labels[1:-1, 1:-1, 1:-1]
    inner[:] = 10 * (1 + np.arange(inner.shape[2]) % PARCELS)
    indices = [10 * (1 + number) for number in range(PARCELS)]
    return Atlas(
        entities={"atlas": "Slabs"},
        labels=labels.ravel(),
        parcels={index: f"Slab_{index}" for index in indices},
        voxels=np.array([np.count_nonzero(labels == index) for index in indices]),
    )


def run_of(root, **options) -> RestRun:
    add_rest(describe_dataset(root), **options)
    (run,) = find_runs(root, "01")
    return run


def read(run: RestRun, atlas: Atlas | None = None, **options) -> MeasuredSeries:
    cleaning = resolve(CleaningOptions(**options), "auto")
    return SeriesReader(atlas or tiny_atlas(), GRID, cleaning).measure(run)


def by_the_book(
    measured: MeasuredSeries, bold: np.ndarray, used: np.ndarray | None = None
):
    labels = tiny_atlas().labels.reshape(TINY_SHAPE)
    inside = np.ones(TINY_SHAPE, bool) if used is None else used
    frames = bold[..., measured.design.keep].astype(np.float64)
    means = [
        frames[(labels == index) & inside].mean(axis=0)
        for index in tiny_atlas().parcels
    ]
    residuals = (
        np.array(means)
        - np.array(means) @ measured.design.basis @ measured.design.basis.T
    )
    return residuals / residuals.std(axis=1, keepdims=True)


@pytest.mark.parametrize("strategy", ["simple", "scrubbing", "none"])
def test_series_are_those_of_the_book(tmp_path, strategy):
    measured = read(run_of(tmp_path), denoise_strategy=strategy, min_minutes=1.0)
    keep = measured.series.keep
    assert measured.series.values.shape == (PARCELS, FRAMES)
    np.testing.assert_allclose(
        measured.series.values[:, keep], by_the_book(measured, tiny_bold()), atol=1e-4
    )
    assert np.isnan(measured.series.values[:, ~keep]).all()
    assert (measured.series.tr_seconds, measured.sampled) == (TR, "none")
    assert measured.series.residual_dof == measured.design.residual_dof()
    assert measured.cleaning["frames_kept"] == keep.sum()
    np.testing.assert_allclose(
        measured.fc, np.corrcoef(measured.series.values[:, keep]), rtol=0, atol=1e-6
    )


def test_voxels_outside_the_runs_mask_do_not_count(tmp_path):
    mask = np.ones(TINY_SHAPE, bool)
    mask[: TINY_SHAPE[0] // 2] = False
    measured = read(run_of(tmp_path / "half", mask=mask))
    keep = measured.series.keep
    np.testing.assert_allclose(
        measured.series.values[:, keep],
        by_the_book(measured, tiny_bold(), mask),
        atol=1e-4,
    )
    assert (measured.series.coverage < 0.6).all()
    mask = (tiny_atlas().labels != 10).reshape(TINY_SHAPE)
    less = read(run_of(tmp_path / "less", mask=mask))
    assert less.series.present.tolist() == [False, True, True, True]
    assert less.notes[-1].startswith("No data (too little signal")
    assert less.notes[-1].endswith(": Slab_10.")


@pytest.mark.parametrize("number", [1, 12])
def test_voxels_that_leave_the_field_of_view_do_not_count(tmp_path, number):
    bold, inside = tiny_bold().astype(np.float32), np.ones(TINY_SHAPE, bool)
    inside[5, 3, 2 : 2 + number] = inside[4, 5, 2 : 2 + number] = False
    bold[~inside, -10:] = 0
    measured = read(run_of(tmp_path, bold=bold))
    keep = measured.series.keep
    np.testing.assert_allclose(
        measured.series.values[:, keep],
        by_the_book(measured, tiny_bold(), inside),
        atol=1e-4,
    )
    labels, inside = tiny_atlas().labels, inside.ravel()
    shares = [inside[labels == index].mean() for index in tiny_atlas().parcels]
    np.testing.assert_allclose(measured.series.coverage, shares, rtol=1e-6)


def test_a_run_off_the_grid_is_interpolated(tmp_path):
    shifted = TINY_AFFINE.copy()
    shifted[0, 3] += 1.0
    measured = read(run_of(tmp_path, affine=shifted))
    assert measured.sampled == "cubic"
    assert measured.series.present.all()


def test_smoothing_brings_neighbouring_parcels_together(tmp_path):
    run = run_of(tmp_path)
    plain, smooth = read(run).fc, read(run, smoothing_fwhm=6.0).fc
    apart = ~np.eye(PARCELS, dtype=bool)
    assert smooth[apart].mean() > plain[apart].mean() + 0.1


def test_an_empty_image_is_refused(tmp_path):
    bold = tiny_bold()
    bold[2:] = 0
    with pytest.raises(RunError, match=r"signal in .*% of the parcels of Slabs"):
        read(run_of(tmp_path, bold=bold))


def test_a_run_of_another_space_needs_transforms(tmp_path):
    run = run_of(tmp_path)
    elsewhere = RestRun(**{**vars(run), "space": "MNI152NLin2009cAsym"})
    with pytest.raises(RunError, match=r"with no transforms to it.*MNI152NLin6Asym"):
        read(elsewhere)


def test_a_models_atlas_that_has_no_known_name_is_asked_for(tmp_path):
    inputs = InputOptions(tmp_path, tmp_path / "out", "participant")
    settings = Settings(inputs=inputs)
    with pytest.raises(
        SettingsError, match="model's atlas Mine cannot be found"
    ) as caught:
        read_atlases(settings, "Mine")
    assert "--atlases FILE" in str(caught.value)


@pytest.fixture(scope="module")
def schaefer() -> Atlas:
    grid = standard_grid()
    everywhere = VoxelPlaces.within(grid, np.ones(grid.shape, bool))
    return find_atlas("Schaefer400", everywhere, templateflow=TemplateFlow(None))


def real_run(shared, participant: str, space: str | None = None) -> RestRun:
    root = shared / "data/real/fmriprep_like"
    if not root.is_dir():
        pytest.skip(f"no real runs at {root}")
    home = TemplateFlow(shared / "data/real/templateflow_like")
    rule = SpaceRule(requested=space, templateflow=home)
    (run,) = find_runs(root, participant, rule=rule)
    return run


def measure_real(run: RestRun, atlas: Atlas) -> MeasuredSeries:
    # One of the two tables of confounds has no motion.
    strategy = "none" if run.participant == "RAPIDTIDETEST" else "auto"
    cleaning = resolve(
        CleaningOptions(denoise_strategy=strategy, min_minutes=1.0), "auto"
    )
    return SeriesReader(atlas, standard_grid(), cleaning).measure(run)


@pytest.mark.slow
def test_a_real_run_gives_the_series_of_nilearn(shared, schaefer):
    from nilearn.maskers import NiftiLabelsMasker

    measured = measure_real(real_run(shared, "HAPPYTEST", "MNI152NLin6Asym"), schaefer)
    bold = nib.load(measured.run.bold)
    # Voxels of zeros inside the mask have no data here; nilearn would average them in.
    data = np.asanyarray(bold.dataobj)
    used = (nib.load(measured.run.mask).get_fdata() > 0.5) & data.any(axis=3)
    mean = data.mean(axis=3)  # nor have those that leave the field of view
    used &= data.all(axis=3) | (mean <= 0.05 * np.median(mean[used]))
    mask = nib.Nifti1Image(used.astype(np.uint8), bold.affine)
    labels = nib.Nifti1Image(
        schaefer.labels.reshape(standard_grid().shape).astype(np.int32),
        standard_grid().affine,
    )
    masker = NiftiLabelsMasker(labels, mask_img=mask, standardize=None)
    columns = np.where(
        np.isfinite(measured.confounds.values),
        measured.confounds.values,
        np.nanmean(measured.confounds.values, axis=0),
    )
    theirs = masker.fit_transform(bold, confounds=columns)
    theirs = (theirs - theirs.mean(axis=0)) / theirs.std(axis=0)
    assert measured.sampled == "none"
    assert measured.series.present.all()
    np.testing.assert_allclose(measured.series.values.T, theirs, atol=1e-3)
    upper = np.triu_indices(400, 1)
    np.testing.assert_allclose(
        measured.fc[upper], np.corrcoef(theirs.T)[upper], atol=1e-4
    )
