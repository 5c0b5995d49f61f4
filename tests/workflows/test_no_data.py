"""Voxels and parcels without data, in all files written for a participant."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from cifti_people import ParcelCohort, save_series, tiny_series, write_parcel_bundle
from maps_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks
from maps_job import TR, TinyJob, add_rest, read_table, tiny_bold
from maps_kinds import PLACES, TENSORS, write_tiny_kind

from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET, LINEAR
from bids_dtg.participants import run_source

LOST = np.zeros(TINY_SHAPE, bool)
LOST.ravel()[np.flatnonzero(tiny_masks()[1])[7::90]] = True  # a hundredth of the brain


def maps_of(folder, kind: str, bold: np.ndarray) -> dict[str, np.ndarray]:
    """Run the program; return what it has written by the end of the names, at the places."""
    job = TinyJob(folder, ())
    add_rest(job.bids, bold=bold, affine=TINY_AFFINE, tr=TR)
    job.model = folder / "own"
    write_tiny_kind(job.model, kind, TENSORS[kind]())
    assert job.run("--min-minutes", 1) == 0
    (quality,) = read_table(job.out / "sub-01/func/sub-01_task-rest_qc.tsv")
    maps = {"coverage": np.array(float(quality["coverage"]))}
    for path in sorted(job.out.rglob("sub-01_*_desc-*.nii.gz")):
        image = nib.load(path).get_fdata()
        maps[path.name.partition("_contrast-")[2] or path.name] = image[PLACES.mask]
    return maps


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LINEAR.name, ATTENTION_UNET.name])
def test_voxels_that_leave_the_field_of_view_have_no_map(tmp_path, kind):
    """Of a linear model; in those of a network the map of the coverage marks them."""
    bold, lost = tiny_bold(90), LOST[PLACES.mask]
    bold[LOST, -20:] = 0
    maps = maps_of(tmp_path / "zero", kind, bold)
    bold = bold.astype(np.float32)
    bold[LOST] = np.nan
    wanted = maps_of(tmp_path / "nan", kind, bold)
    assert maps.keys() == wanted.keys()
    for name, values in maps.items():
        np.testing.assert_allclose(
            values, wanted[name], rtol=0, atol=1e-6, err_msg=name
        )
        if "statmap" in name:
            gaps = np.isnan(values)
            assert np.array_equal(gaps, lost) if kind == LINEAR.name else not gaps.any()
        elif "coverage_dseg" in name:
            assert np.array_equal(values == 2, lost)
    assert float(maps["coverage"]) == pytest.approx(1 - lost.mean(), abs=1e-4)


@pytest.mark.slow
def test_parcels_without_data_have_no_value_and_are_named(
    tmp_path, capsys, monkeypatch
):
    """As XCP-D leaves them: NaN below its coverage, or constant."""
    monkeypatch.setattr(
        run_source, "MOST_MISSING", 0.2
    )  # few parcels are a large share of 12
    job = ParcelCohort(tmp_path, ())
    job.model = tmp_path / "model"
    write_parcel_bundle(job.model)
    names, series = list(job.axis.name), tiny_series(12)
    series -= series.mean(axis=0)
    series[:, names.index("P03")] = np.nan
    series[:, names.index("P05")] = 7.5
    save_series(job.add("01", 0), series, job.axis)
    assert job.run("--min-minutes", 1, "--write", "maps", "connectome") == 0
    assert "in 2 of 12 parcels, which are n/a" in capsys.readouterr().err
    files = [*job.out.rglob("*desc-synthetic_*.pscalar.nii")]
    files += job.out.rglob("*desc-connectome_*.pscalar.nii")
    assert len(files) == 2
    for path in files:
        gaps = np.isnan(nib.load(path).get_fdata())
        assert all(np.flatnonzero(row).tolist() == [3, 5] for row in gaps)
    (quality,) = read_table(job.out / "sub-01/func/sub-01_task-rest_qc.tsv")
    assert float(quality["coverage"]) == pytest.approx(10 / 12, abs=1e-4)
