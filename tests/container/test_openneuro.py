"""The way from a DataLad dataset of fMRIPrep derivatives to maps, and back, on one machine.

The images are a phantom's, under the names that ds002748-fmriprep has on OpenNeuro.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from itk_files import affine_part, write_composite

OTHER = "MNI152NLin2009cAsym"
TRANSFORM = f"tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
# Some of what the dataset also has, of which nothing is fetched.
OTHERS = (
    "anat/{}_desc-preproc_T1w.nii.gz",
    "anat/{}_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
    "func/{}_task-rest_desc-preproc_bold.nii.gz",
    "func/{}_task-rest_from-scanner_to-T1w_mode-image_xfm.txt",
    "func/{}_task-rest_space-fsLR_den-91k_bold.dtseries.nii",
    f"func/{{}}_task-rest_space-{OTHER}_res-2_desc-aseg_dseg.nii.gz",
)
ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


def _call(*command: str | Path, at: Path, home: Path, **variables: str) -> str:
    env = os.environ | variables | {"HOME": str(home)}
    env |= {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=at, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_datalad_a_line_says_what_to_do(tmp_path):
    words = [shutil.which("bash"), ROOT / "examples/openneuro/run", "ds002748", "study"]
    env = {"PATH": str(tmp_path)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "datalad was not found. To do: pip install datalad git-annex" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="no git, which DataLad needs")
def test_from_derivatives_to_maps_and_back(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\nname = Nobody\nemail = nobody@example.org\n"
    )

    def call(*command: str | Path, at: Path = tmp_path, **variables: str) -> str:
        return _call(*command, at=at, home=home, **variables)

    call("dtg-phantom", "phantom", "--participants", "2", "--frames", "200")
    source = tmp_path / "phantom" / "fmriprep"
    for path in sorted(source.rglob("*_space-MNI152NLin6Asym_*")):
        path.rename(path.with_name(path.name.replace("MNI152NLin6Asym", OTHER)))
    for person in ("sub-sim001", "sub-sim002"):
        for name in OTHERS:
            path = source / person / name.format(person)
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"not fetched: {path}")
    flow = tmp_path / "templateflow"
    (flow / TRANSFORM).parent.mkdir(parents=True)
    write_composite(flow / TRANSFORM, [affine_part(np.eye(4))])
    call("datalad", "create", "--force", at=source)
    call("datalad", "save", "--message", "Simulated derivatives", at=source)

    # Somebody asks for one of the two participants.
    run = ROOT / "examples" / "openneuro" / "run"
    options = ["sim001", "--", "--model", "demo", "--denoise-strategy", "none"]
    places = {"DTG_SOURCE": str(source), "TEMPLATEFLOW_HOME": str(flow)}
    call(run, "ds002748", "study", *options, **places)

    study = tmp_path / "study"
    maps = list(
        study.glob("derivatives/dtg/sub-sim001/func/*_desc-synthetic_statmap.nii.gz")
    )
    assert len(maps) == 47
    assert all(path.is_symlink() for path in maps)  # in the annex
    assert not call("git", "status", "--porcelain", at=study)
    record = call("git", "log", "-1", "--format=%B", at=study)
    run_record = json.loads(record.split("lines below ===")[1].split("^^^")[0])
    assert "--denoise-strategy none" in str(run_record["cmd"]).replace("', '", " ")
    fetched = [name for name in run_record["inputs"] if name.endswith("bold.nii.gz")]
    assert [Path(name).name for name in fetched] == [
        f"sub-sim001_task-rest_space-{OTHER}_res-2_desc-preproc_bold.nii.gz"
    ]
    assert not [
        name
        for name in run_record["inputs"]
        if "_desc-aseg_" in name or "/anat/" in name
    ]
    link = study / "inputs/fmriprep" / Path(fetched[0]).relative_to("inputs/fmriprep")
    assert link.is_symlink()
    assert not link.exists()  # dropped

    # Published to a store, and cloned by somebody else.
    store = f"ria+file://{tmp_path}/store"
    call(
        "datalad",
        "create-sibling-ria",
        "--name",
        "store",
        "--new-store-ok",
        store,
        at=study,
    )
    call("datalad", "push", "--to", "store", at=study)
    identity = call(
        "datalad", "configuration", "get", "datalad.dataset.id", at=study
    ).split()[-1]
    call("datalad", "clone", f"{store}#{identity}", "copy")
    (first_map, *_) = sorted(maps)
    copied = tmp_path / "copy" / first_map.relative_to(study)
    call("datalad", "get", copied.relative_to(tmp_path / "copy"), at=tmp_path / "copy")
    assert copied.read_bytes() == first_map.read_bytes()
