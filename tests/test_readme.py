"""The commands of the README and the page on models do what they say, typed as they stand."""

from __future__ import annotations

import os
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
from maps_bundle import TINY_AFFINE, tiny_masks, tiny_network, write_tiny_bundle
from maps_job import FRAMES, add_rest

from bids_dtg.contrasts.phantom.dataset import describe_datasets, write_run
from bids_dtg.contrasts.phantom.model import Phantom

README = Path(__file__).parent.parent / "README.md"
MODELS = README.parent / "docs" / "reference" / "models.md"
SCRIPTS = Path(sys.executable).parent
# Installing is what every test has behind it already; fetching from GitHub needs a network, and is
# tested with a host of our own (workflows/test_published_model.py). The image is built and run by
# container/build_and_try.
SKIPPED = (
    *("git clone ", "python3 -m venv ", "pip ", "make ", "dtg-models fetch "),
    *("docker ", "apptainer "),
)


def _blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    )


def _commands(page: Path) -> list[str]:
    lines = "".join(_blocks("console", page)).replace("\\\n", "").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Make a folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("readme")
    raw = describe_dataset(folder / "data" / "ds001", kind="raw")
    # The whole brain in large voxels, as parcels lie everywhere in the cortex.
    affine = np.diag([8.0, 8, 8, 1])
    affine[:3, 3] = -92, -128, -76
    shape = (24, 28, 24, FRAMES)
    bold = np.random.default_rng(0).integers(900, 1100, shape).astype(np.int16)
    add_rest(
        describe_dataset(raw / "derivatives" / "fmriprep"), bold=bold, affine=affine
    )
    write_tiny_bundle(folder / "models" / "hcp-ya", name="hcp-ya", contrasts=47)
    brain, grey = tiny_masks()
    maps = np.random.default_rng(0).random((*brain.shape, 4)).astype(np.float32)
    for name, values in [
        ("maps", maps),
        ("brain_mask", brain.astype(np.uint8)),
        ("grey_matter_mask", grey.astype(np.uint8)),
    ]:
        nib.save(nib.Nifti1Image(values, TINY_AFFINE), folder / f"{name}.nii.gz")
    state = {
        f"model.{key}": value for key, value in tiny_network(4, 47).state_dict().items()
    }
    torch.save({"state_dict": state}, folder / "model.ckpt")
    return folder


@pytest.fixture(scope="module")
def environment(place) -> dict[str, str]:
    """Return that of somebody who has fetched the published model."""
    folders = {
        "DTG_MODEL_DIR": str(place / "models"),
        "XDG_CACHE_HOME": str(place / "cache"),
    }
    return os.environ | folders


def _type(commands: list[str], place: Path, environment: dict[str, str]) -> None:
    for command in commands:
        if command.startswith(SKIPPED):
            continue
        program, *arguments = shlex.split(command.replace("/data/", f"{place}/data/"))
        done = subprocess.run(
            [SCRIPTS / program, *arguments],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.slow
def test_commands(place, environment):
    """In the order of the README, in one folder; hcp-ya is there once it is fetched."""
    typed = _commands(README)
    fetched = typed.index("dtg-models fetch hcp-ya")
    without = environment | {"DTG_MODEL_DIR": ""}
    _type(typed[:fetched], place, without)
    _type(typed[fetched:], place, environment)
    maps = place.glob(
        "data/ds001/derivatives/dtg/sub-01/func/*desc-synthetic_statmap.nii.gz"
    )
    assert len(list(maps)) == 47
    assert list(place.glob("data/maps/sub-01/func/*_statmap.pscalar.nii"))


@pytest.mark.slow
def test_commands_for_models(place, environment):
    typed = [
        command for command in _commands(MODELS) if command.startswith("dtg-models ")
    ]
    assert [command.split()[1] for command in typed] == ["fetch", "verify", "convert"]
    _type(typed, place, environment)
    assert (place / "my-model/model.json").is_file()


@pytest.mark.slow
def test_python(tmp_path):
    """With what `make demo` leaves, and the model that is a part of the program."""
    simulated, phantom = tmp_path / "demo-output" / "simulated", Phantom()
    run, person = (
        {"frames": 60, "repetition_time_s": 5.0},
        phantom.person(cohort=0, index=0),
    )
    describe_datasets(simulated, phantom, [person], **run, program="tests")
    write_run(simulated / "fmriprep", person, **run)
    (code,) = _blocks("python")
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\(\d+, \d+, \d+, 47\) languageMathVsStory\n", done.stdout)
