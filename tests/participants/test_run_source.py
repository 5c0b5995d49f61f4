"""Runs as sources: frames against a series resampled beforehand, and wrong headers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models, parcels_axis, save_series, tiny_series
from fmriprep_dataset import describe_dataset, make_image
from maps_job import tiny_bold

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.parcel_series import read_series_header
from bids_dtg.inputs.run import PARCELS, SPACE
from bids_dtg.inputs.runs import run_of_file
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.participants.run_source import (
    RunSource,
    as_run_error,
    parcels_in,
    plan_run,
    require_parcels,
)
from bids_dtg.settings import CleaningOptions

SERIES_OF = {
    "MNI152NLin6Asym": "space-MNI152NLin6Asym_desc-denoised_bold.nii.gz",
    "fsLR parcels": "space-fsLR_seg-Tiny_stat-mean_timeseries.ptseries.nii",
}


@pytest.mark.parametrize("space", SERIES_OF)
@pytest.mark.parametrize(("stated", "header"), [(2.0, 1.0), (0.8, 800.0)])
def test_the_sidecar_holds_where_the_program_wrote_a_wrong_header(
    tmp_path, space, stated, header
):
    """The frames and the columns of a filter are those of the same run with a right header."""
    options = {"denoise_strategy": "none", "high_pass": 0.01, "min_minutes": 0.0}
    designs = []
    for name, seconds in (("right", stated), ("wrong", header)):
        root = describe_dataset(tmp_path / name, pipeline="XCP-D", version="0.6.0")
        path = root / "sub-01" / "func" / f"sub-01_task-rest_{SERIES_OF[space]}"
        if space == SPACE:
            make_image(path, tiny_bold(200), tr=seconds)
        else:
            axis = parcels_axis()
            save_series(path, tiny_series(len(axis), 200), axis, seconds)
        sidecar = path.with_name(path.name.partition(".")[0] + ".json")
        sidecar.write_text(json.dumps({"RepetitionTime": stated}))
        run = run_of_file(path, root, rule=SpaceRule(model=space), input_type="xcpd")
        planned = plan_run(run, space, CleaningOptions(**options))
        designs.append(planned.design)
    assert [design.tr_seconds for design in designs] == [stated, stated]
    assert designs[0].basis.shape[1] > 2
    np.testing.assert_allclose(designs[1].basis, designs[0].basis, atol=1e-6)
    assert (
        f"RepetitionTime ({stated:g} s) was used; the header has {header:g} s"
        in planned.notes[0]
    )


@pytest.mark.slow
def test_the_ready_series_is_met(shared):
    """The ready series was resampled once from the scan, by cubic splines as ours."""
    func, stem = (
        shared / "data/real/fmriprep_like/sub-HAPPYTEST/func",
        "sub-HAPPYTEST_task-rest_",
    )
    name = f"{stem}space-{SPACE}_res-2_desc-"
    mask = nib.load(func / f"{name}brain_mask.nii.gz")
    inside = np.zeros(mask.shape, bool)  # every other voxel along each axis
    inside[::2, ::2, ::2] = np.asarray(mask.dataobj)[::2, ::2, ::2] > 0
    places = VoxelPlaces.within(Grid(mask.shape, mask.affine, SPACE, "2"), inside)
    native = run_of_file(func / f"{stem}desc-preproc_bold.nii.gz", func.parents[1])
    cleaning = CleaningOptions(denoise_strategy="none", min_minutes=0.0)
    source = RunSource.of(native, SPACE, places, cleaning)
    placed = np.concatenate([block.copy() for _, block in source.blocks()])[::5]
    ready = np.asarray(nib.load(func / f"{name}preproc_bold.nii.gz").dataobj)[
        places.mask
    ].T[::5]
    # Over frames, voxel by voxel.
    placed_deviation, ready_deviation = (
        data - data.mean(axis=0, dtype=np.float64) for data in (placed, ready)
    )
    norms = np.sqrt(
        (placed_deviation**2).sum(axis=0) * (ready_deviation**2).sum(axis=0)
    )
    assert (
        np.median(
            (placed_deviation * ready_deviation).sum(axis=0)[norms > 0]
            / norms[norms > 0]
        )
        > 0.99
    )


def test_vertices_without_data_are_left_out_of_grayordinates(tmp_path):
    """As of volumes and fsaverage: a parcel needs half of its vertices, in the file or not."""
    axis, parcels = brain_models(), ParcelPlaces.of_axis(parcels_axis()[:8])
    members = [np.concatenate([*vertices.values()]) for _, _, vertices in parcels.axis]
    values = tiny_series(len(axis), 40)
    columns = np.split(np.arange(120), np.cumsum([*map(len, members)]))
    keep = np.arange(40) > 2
    values[:, columns[0][0]] = 0
    values[5, columns[0][1]] = np.nan
    values[0, columns[0][2]] = np.nan  # in a frame that is not kept
    values[20:, columns[0][3]] = 0  # leaves the field of view
    values[:, columns[1][:-1]] = 0
    is_left = np.ones(len(axis), bool)
    is_left[columns[2][-1]] = is_left[columns[3][1:]] = False
    xcpd = describe_dataset(tmp_path / "xcp_d", pipeline="XCP-D")
    path = xcpd / "sub-01/func/sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii"
    save_series(path, values[:, is_left], axis[is_left])
    run = run_of_file(path, xcpd, rule=SpaceRule(model=PARCELS), input_type="xcpd")
    source = RunSource.of(run, PARCELS, parcels, CleaningOptions(), keep)
    assert source.covered.tolist() == [True, True, True, False] + [True] * 4
    series = np.concatenate([block for _, block in source.blocks()])
    size = np.array([*map(len, members)])
    lost = np.array([3, size[1] - 1, 1, size[3] - 1, 0, 0, 0, 0])
    np.testing.assert_allclose(source.share(), 1 - lost / size)
    assert [*np.flatnonzero((series == 0).all(axis=0))] == [1, 3]
    is_used = np.ones(120, bool)
    is_used[columns[0][[0, 1, 3]]] = is_used[columns[2][-1]] = False
    for parcel in (0, 2, 4):
        used = columns[parcel][is_used[columns[parcel]]]
        wanted = values[3:, used].mean(axis=1)
        np.testing.assert_allclose(series[3:, parcel], wanted, rtol=1e-5)
    assert np.isnan(series[0, 0])
    present, _ = parcels_in(read_series_header(path), parcels, keep)
    assert present.tolist() == [True, False, True, False] + [True] * 4


def test_both_sides_are_named_where_one_of_them_lacks_parcels():
    path = Path("sub-01_task-rest_hemi-L_space-fsaverage5_bold.func.gii")
    places = ParcelPlaces.of_axis(parcels_axis())
    lost = np.zeros(places.number, bool)
    with pytest.raises(
        RunError, match=r"func\.gii, with its other side, has data at too few"
    ):
        require_parcels(path, places, lost, at_vertices=True)
    run = SimpleNamespace(bold=path)
    words = "with its other side, cannot be used: a word"
    with pytest.raises(RunError, match=words), as_run_error(run):
        raise ValueError("a word")
