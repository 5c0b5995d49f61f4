"""The README's commands do what it says, typed as they stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from fmriprep_dataset import describe_dataset
from tiny_bundle import TINY_AFFINE, tiny_masks, tiny_network
from tiny_job import add_rest

README = Path(__file__).parent.parent / "README.md"
SCRIPTS = Path(sys.executable).parent
# Installing is what every test has behind it already.
SKIPPED = ("pip ", "make ")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Make a folder with the files that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    raw = describe_dataset(folder / "data" / "ds001", kind="raw")
    add_rest(describe_dataset(raw / "derivatives" / "fmriprep"))
    brain, grey = tiny_masks()
    maps = np.random.default_rng(0).random((*brain.shape, 4)).astype(np.float32)
    for name, values in [
        ("maps", maps),
        ("brain_mask", brain.astype(np.uint8)),
        ("grey_matter_mask", grey.astype(np.uint8)),
    ]:
        nib.save(nib.Nifti1Image(values, TINY_AFFINE), folder / f"{name}.nii.gz")
    state = {f"model.{key}": value for key, value in tiny_network(4, 47).state_dict().items()}
    torch.save({"state_dict": state}, folder / "model.ckpt")
    return folder


def test_commands(place):
    """In the order of the README, in one folder."""
    lines = "".join(_blocks("console")).splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    typed = [command for command in commands if not command.startswith(SKIPPED)]
    assert len(typed) >= 3
    for command in typed:
        program, *arguments = shlex.split(command.replace("/data/", f"{place}/data/"))
        done = subprocess.run(
            [SCRIPTS / program, *arguments], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    maps = place.glob("data/ds001/derivatives/dtg/sub-01/func/*desc-synthetic_statmap.nii.gz")
    assert len(list(maps)) == 47


def test_python(place):
    (code,) = _blocks("python")
    check = "\nassert series.shape == (200, 4) and r.shape == (4, bundle.roi_maps.shape[1])"
    subprocess.run([sys.executable, "-c", code + check], cwd=place, check=True)


def test_make_targets_exist():
    makefile = (README.parent / "Makefile").read_text()
    named = re.findall(r"(?:\$ |`)make ([a-z-]+)", README.read_text())
    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_linked_files_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    local = [link for link in links if "://" not in link]
    assert local
    assert all((README.parent / link).exists() for link in local)
