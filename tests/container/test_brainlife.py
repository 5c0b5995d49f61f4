"""The brainlife App from its config.json to product.json, as brainlife starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "brainlife" / "config.json"
INPUTS = {
    "bold": "desc-preproc_bold.nii.gz",
    "mask": "desc-brain_mask.nii.gz",
    "regressors": "desc-confounds_timeseries.tsv",
}


def _start(
    task: Path, config: dict, image: str = "none", first: str = ""
) -> subprocess.CompletedProcess[str]:
    task.mkdir()
    (task / "config.json").write_text(json.dumps(config))
    programs = Path(sys.executable).parent
    path = f"{first}{programs}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"DTG_IMAGE": image, "PATH": path}
    return subprocess.run(
        [ROOT / "main"], cwd=task, env=env, capture_output=True, text=True, check=False
    )


def _product(task: Path) -> dict:
    product = task / "product.json"
    assert product.stat().st_size < 8192  # brainlife wants "a few kilobytes"
    return json.loads(product.read_text())


@pytest.mark.slow
def test_bad_input_is_told(tmp_path):
    """Files that are not there: brainlife shows the program's line."""
    config = json.loads(SAMPLE.read_text()) | {"model": "demo"}
    done = _start(tmp_path / "task", config)
    assert done.returncode == 1
    (shown,) = _product(tmp_path / "task")["brainlife"]
    assert shown["type"] == "error"
    assert "desc-preproc_bold.nii.gz" in shown["msg"]


def test_no_image_is_told(tmp_path):
    done = _start(tmp_path / "task", {}, image="")
    assert done.returncode == 2
    assert "set DTG_IMAGE" in done.stderr
    (shown,) = _product(tmp_path / "task")["brainlife"]
    assert f"bids_dtg on brainlife: error: {shown['msg']}\n" == done.stderr


def test_image_is_run_beside_the_inputs(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "singularity").write_text('#!/bin/sh\necho "$@"\n')
    (programs / "singularity").chmod(0o755)
    done = _start(
        tmp_path / "task", {}, "docker://h.example/dtg:1", f"{programs}{os.pathsep}"
    )
    app = ROOT / "examples" / "brainlife"
    task = tmp_path / "task"
    assert done.stdout == (
        f"exec --cleanenv --bind {tmp_path} --bind {app} --pwd {task} docker://h.example/dtg:1 "
        f"python3 {app}/app.py\n"
    )


@pytest.mark.slow
def test_phantom_end_to_end(tmp_path):
    phantom = [Path(sys.executable).parent / "dtg-phantom", tmp_path / "phantom"]
    subprocess.run([*phantom, "--participants", "1", "--frames", "200"], check=True)
    for name, suffix in INPUTS.items():
        (file,) = tmp_path.glob(f"phantom/fmriprep/sub-*/func/*{suffix}")
        link = (tmp_path / "task" / json.loads(SAMPLE.read_text())[name]).resolve()
        link.parent.mkdir()
        link.symlink_to(file)
    config = json.loads(SAMPLE.read_text()) | {"model": "demo"}
    config["_inputs"][0]["meta"]["RepetitionTime"] = 1.5
    done = _start(tmp_path / "task", config)
    assert done.returncode == 0, done.stderr
    product = _product(tmp_path / "task")
    (plot,) = (entry for entry in product["brainlife"] if entry["type"] == "plotly")
    (bars,) = plot["data"]
    assert len(set(bars["x"])) == len(bars["y"]) == 47
    assert all(0 < height < 30 for height in bars["y"])
    assert len(product["qc"]) == 1
    func = tmp_path / "task/derivatives/sub-01/ses-1/func"
    assert len(list(func.glob("*_desc-synthetic_statmap.nii.gz"))) == 47
