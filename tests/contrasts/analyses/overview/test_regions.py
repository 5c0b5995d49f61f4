"""The long table of regions: all averages' rows, whose they are, and what is left out."""

from __future__ import annotations

import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from tiny_bundle import TINY_AFFINE, tiny_masks
from tiny_job import TinyJob, add_rest

from bids_dtg.contrasts.analyses.overview.regions import write_region_tables
from bids_dtg.contrasts.participant.outputs.maps import COLUMNS
from bids_dtg.files.derivatives import DerivativeDataset

STEM = "space-MNI152NLin6Asym_atlas-{}_stat-z_desc-regions_statmap"


def add_table(root, title, atlas="Own", rows=2, text=None):
    folder = root / title.split("_")[0] / "func"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{title}_{STEM.format(atlas)}.tsv"
    lines = [f"math\t{index}\tregion {index}\t0.5\t1.0000\t7" for index in range(rows)]
    path.write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n" if text is None else text)
    path.with_suffix(".json").write_text('{"MinCoverage": 0.5, "mean": {"Units": "z"}}')
    return title, folder


def read(path):
    return [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def test_each_atlas_has_its_table_with_all_sets(tmp_path, capsys):
    averages = [
        add_table(tmp_path, "sub-01_ses-A_task-rest"),
        add_table(tmp_path, "sub-02_task-rest"),
        add_table(tmp_path, "sub-03_task-rest", text="contrast\tindex\nmath\t1\n"),
        add_table(tmp_path, "sub-04_task-rest", text="\t".join(COLUMNS) + "\nmath\t1\tcut"),
    ]
    add_table(tmp_path, "sub-02_task-rest", atlas="Other_seg-7n", rows=1)
    paths = write_region_tables(DerivativeDataset(tmp_path), averages)
    names = {str(path) for path in paths}
    assert {f"group/{STEM.format(a)}.tsv.gz" for a in ("Own", "Other_seg-7n")} <= names
    header, *rows = read(tmp_path / f"group/{STEM.format('Own')}.tsv.gz")
    assert header == ["participant_id", "session_id", "average", *COLUMNS]
    assert [row[:3] for row in rows] == [
        *2 * [["sub-01", "ses-A", "sub-01_ses-A_task-rest"]],
        *2 * [["sub-02", "n/a", "sub-02_task-rest"]],
    ]
    assert rows[1][3:] == ["math", "1", "region 1", "0.5", "1.0000", "7"]
    assert "left out 2 damaged tables: sub-03" in capsys.readouterr().err
    facts = json.loads((tmp_path / f"group/{STEM.format('Own')}.json").read_text())
    assert (facts["MinCoverage"], facts["NumberOfSets"]) == (0.5, 2)
    assert facts["participant_id"]["Description"]


@pytest.mark.slow
def test_the_group_level_writes_it(tmp_path):
    job = TinyJob(tmp_path, ())
    for label in ("01", "02"):
        add_rest(job.bids, label)
    atlas = job.folder / "atlas-Own_space-MNI152NLin6Asym_dseg.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(tiny_masks()[1].shape, np.int16), TINY_AFFINE), atlas)
    assert job.run("--atlases", atlas) == 0
    from bids_dtg.cli.run import main

    assert main([str(job.bids), str(job.out), "group", "--no-reports"]) == 0
    _, *rows = read(job.out / f"group/{STEM.format('Own')}.tsv.gz")
    assert [row[0] for row in rows] == [*3 * ["sub-01"], *3 * ["sub-02"]]
