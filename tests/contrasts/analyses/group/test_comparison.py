"""Mean maps of predictions compared with those of measured maps."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from maps_job import TinyJob, read_table

from bids_dtg.cli.run import main
from bids_dtg.stats.metrics import dice_auc

PEOPLE = ("01", "02", "03")


@pytest.mark.slow
def test_group_maps_are_compared_where_measured_ones_are_given(tmp_path, capsys):
    job = TinyJob(tmp_path, PEOPLE)
    assert job.run() == 0
    name = "languageMath"
    rng = np.random.default_rng(0)
    measured = []
    first = nib.load(
        next(job.out.glob(f"sub-01/func/*_contrast-{name}_*synthetic_statmap.nii.gz"))
    )
    for label in PEOPLE[:2]:
        values = rng.normal(size=first.shape).astype(np.float32) + first.get_fdata()
        path = (
            tmp_path
            / f"statmaps/sub-{label}/sub-{label}_contrast-{name}_stat-z_statmap.nii.gz"
        )
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(values.astype(np.float32), first.affine), path)
        measured.append(values)
    damaged = path.parents[1] / "sub-03" / path.name.replace("sub-02", "sub-03")
    damaged.parent.mkdir()
    damaged.touch()
    call = [str(job.bids), str(job.out), "group"]
    assert main([*call, "-d", f"statmaps={tmp_path / 'statmaps'}"]) == 0
    assert f"sub-03 is not in the measured mean of {name}: " in capsys.readouterr().err
    table = job.out / "group/desc-measured_comparison.tsv"
    (row,) = read_table(table)
    mean = next(job.out.glob(f"group/*_contrast-{name}_*desc-groupMean_statmap.nii.gz"))
    predicted = nib.load(mean).get_fdata()
    here = predicted != 0
    pair = predicted[here], np.mean(measured, axis=0)[here]
    assert (row["contrast"], row["people"], row["measured_people"]) == (name, "3", "2")
    assert float(row["r"]) == pytest.approx(np.corrcoef(*pair)[0, 1], abs=1e-3)
    assert float(row["dice"]) == pytest.approx(
        dice_auc(pair[0][None], pair[1][None])[0], abs=5e-3
    )
    assert "Predicted and measured" in (job.out / "group.html").read_text()
    assert main(call) == 0  # without them there is no comparison, nor an earlier one
    assert not table.exists()
    assert "Predicted and measured" not in (job.out / "group.html").read_text()


@pytest.mark.slow
def test_measured_maps_of_contrasts_that_were_not_predicted_are_named(tmp_path, capsys):
    job = TinyJob(tmp_path, PEOPLE[:1])
    assert job.run() == 0
    source = next(job.out.glob("sub-01/func/*_contrast-languageMath_*_statmap.nii.gz"))
    path = tmp_path / "statmaps/sub-01_contrast-gambling_stat-z_statmap.nii.gz"
    path.parent.mkdir()
    nib.save(nib.load(source), path)
    call = [str(job.bids), str(job.out), "group"]
    assert main([*call, "-d", f"statmaps={path.parent}"]) == 0
    line = f"no map in {path.parent} has a contrast that was predicted: "
    assert line in capsys.readouterr().err
    assert not (job.out / "group/desc-measured_comparison.tsv").exists()
