"""A dataset as OpenNeuroDerivatives has it: names without content, of which some were got."""

from __future__ import annotations

import re

import numpy as np
import pytest
from itk_files import affine_part, write_composite
from openneuro_layout import add_annexed, stub
from tiny_job import TinyJob, add_rest

OTHER = "MNI152NLin2009cAsym"
NATIVE = "sub-01_task-rest_desc-preproc_bold.nii.gz"


@pytest.fixture
def job(tmp_path, monkeypatch) -> TinyJob:
    """Make a job on the layout, of which what examples/openneuro/run fetches has content."""
    job = TinyJob(tmp_path, ())
    add_rest(job.bids, space=OTHER, res="2")
    add_annexed(job.bids, "01", stub)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    folder = tmp_path / "templateflow" / "tpl-MNI152NLin6Asym"
    folder.mkdir(parents=True)
    name = f"tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
    write_composite(folder / name, [affine_part(np.eye(4))])
    return job


def test_the_version_that_was_got_is_read_and_the_better_one_named(job, capsys):
    assert job.run("--dry-run") == 0
    out, err = capsys.readouterr()
    assert "sub-01_task-rest: would write 3 maps" in out
    assert f"_space-{OTHER}_res-2_desc-preproc_bold.nii.gz\n" in out
    assert "the files of boldref have no content here\n" in out
    line = next(line for line in err.splitlines() if "better version" in line)
    assert re.search(rf"datalad get \S+/{NATIVE} \S+_from-T1w_to-MNI152NLin6Asym_\S+ \S+$", line)
    assert job.run() == 0
    assert len(list(job.out.rglob("*desc-synthetic_statmap.nii.gz"))) == 3
