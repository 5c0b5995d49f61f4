"""The names that `bids_dtg` exports: light to import, documented, and enough to make maps."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import bids_dtg
from bids_dtg.errors import SettingsError
from bids_dtg.phantom.contrasts.dataset import RunPlan, describe_datasets, write_run
from bids_dtg.phantom.contrasts.model import Phantom

NAMES = {
    "Settings",
    "__version__",
    "find_runs",
    "load_bundle",
    "measure",
    "predict_maps",
    "run_workflow",
}
HEAVY = {"isal", "nibabel", "nilearn", "numpy", "pandas", "scipy", "torch"}


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_names_are_those_of_the_design():
    assert set(bids_dtg.__all__) == NAMES
    assert set(dir(bids_dtg)) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_found(name):
    assert in_a_new_process(f"from bids_dtg import {name}; print({name} is not None)") == "True"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'bids_dtg' has no attribute 'measures'"):
        _ = bids_dtg.measures


def test_the_import_costs_no_heavy_library():
    code = "import sys, bids_dtg; bids_dtg.__version__; print(*sys.modules)"
    assert not HEAVY & set(in_a_new_process(code).split())


def test_help_costs_no_heavy_library():
    code = """
import sys
from bids_dtg.cli.run import main
sys.argv = ["bids_dtg", "--help"]
try:
    main(["--help"])
except SystemExit:
    print(*sys.modules)
"""
    assert not HEAVY & set(in_a_new_process(code).splitlines()[-1].split())


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_each_name_has_an_example(name):
    """`test_docstrings` runs it, as it runs those of the name's module."""
    public = getattr(bids_dtg, name)
    examples = doctest.DocTestFinder(recurse=False).find(public)
    assert any(example.examples for example in examples), f"{name} has no example"
    assert importlib.import_module(public.__module__).__name__.startswith("bids_dtg.")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Return a folder with an fMRIPrep dataset of one simulated participant."""
    folder = tmp_path_factory.mktemp("simulated")
    plan, phantom = RunPlan(frames=60, repetition_time_s=5.0), Phantom()
    person = phantom.person(cohort=0, index=0)
    describe_datasets(folder, phantom, [person], plan=plan, generator={"Name": "tests"})
    write_run(folder / "fmriprep", person, plan)
    return folder


def test_maps_by_these_names_are_those_of_the_command_line(simulated, tmp_path):
    fmriprep, out = simulated / "fmriprep", tmp_path / "out"
    command = [sys.executable, "-m", "bids_dtg.cli", fmriprep, out, "participant"]
    options = ["--model", "demo", "--device", "cpu", "--no-reports"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    settings = bids_dtg.Settings.of(
        bids_dir=fmriprep,
        output_dir=tmp_path / "other",
        analysis_level="participant",
        model="demo",
    )
    bundle = bids_dtg.load_bundle("demo")
    (run,) = bids_dtg.find_runs(settings)
    connectome = bids_dtg.measure(run, bundle, settings.cleaning)
    estimate = bids_dtg.predict_maps(connectome, bundle, device="cpu")

    assert len(estimate.contrasts) == 47
    for contrast, values in zip(estimate.contrasts, estimate.values, strict=True):
        name = f"*_contrast-{contrast.label}_stat-*_desc-synthetic_statmap.nii.gz"
        (path,) = out.rglob(name)
        written = nib.load(path).get_fdata()[bundle.places.mask]
        assert written.std() > 0
        np.testing.assert_allclose(values, written, rtol=0, atol=1e-5)
    assert not (tmp_path / "other").exists()


def test_run_workflow_returns_an_exit_code_or_raises(tmp_path):
    settings = bids_dtg.Settings.of(
        bids_dir=tmp_path, output_dir=tmp_path / "out", analysis_level="participant", model="demo"
    )
    with pytest.raises(SettingsError, match="--denoise-strategy is 'sample'"):
        bids_dtg.run_workflow(settings.replace(denoise_strategy="sample"))
