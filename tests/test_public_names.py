"""The names that `bids_dtg` exports: light to import, documented, and enough to make maps."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import bids_dtg
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.contrasts.phantom.dataset import describe_datasets, write_run
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.errors import RunError, SettingsError

NAMES = {
    "Settings",
    "TaskMaps",
    "__version__",
    "find_runs",
    "load_bundle",
    "load_maps",
    "fit_linear",
    "measure",
    "measure_array",
    "predict_maps",
    "run_workflow",
}
HEAVY = {
    "bids",
    "isal",
    "nibabel",
    "nilearn",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "torch",
}


def in_a_new_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_names_are_those_of_the_design():
    assert set(bids_dtg.__all__) == NAMES
    assert set(dir(bids_dtg)) == NAMES


def test_the_import_costs_no_heavy_library():
    code = "import sys, bids_dtg; bids_dtg.__version__; print(*sys.modules)"
    assert not HEAVY & set(in_a_new_process(code).split())


@pytest.mark.parametrize("program", ["run", "models", "demo", "phantom"])
def test_help_costs_no_heavy_library(program):
    code = f"""
import sys
from bids_dtg.cli.{program} import main
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
    run, phantom = {"frames": 60, "repetition_time_s": 5.0}, Phantom()
    person = phantom.person(cohort=0, index=0)
    describe_datasets(folder, phantom, [person], **run, program="tests")
    write_run(folder / "fmriprep", person, **run)
    return folder


@pytest.mark.slow
def test_maps_of_an_image_at_hand_are_those_of_its_file(simulated):
    settings = bids_dtg.Settings.of(
        bids_dir=simulated / "fmriprep",
        output_dir=simulated / "out",
        analysis_level="participant",
        model="demo",
        denoise_strategy="none",
    )
    bundle = bids_dtg.load_bundle("demo")
    (run,) = bids_dtg.find_runs(settings)
    wanted = bids_dtg.measure(run, bundle, settings.cleaning)
    image = nib.load(run.bold)
    bold = image.get_fdata(dtype=np.float32)
    flipped = np.flip(bold, axis=0)
    affine = image.affine @ np.array(
        [[-1, 0, 0, bold.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    keep = np.arange(60) >= 2  # the phantom's first frames are not in the steady state
    for array, place in [(bold, image.affine), (flipped, affine)]:
        connectome = bids_dtg.measure_array(
            array, place, bundle, repetition_time_s=5.0, keep=keep
        )
        assert (connectome.frames, connectome.seconds) == (
            wanted.frames,
            wanted.seconds,
        )
        assert connectome.residual_dof == wanted.residual_dof
        inside = np.abs(wanted.r).max(axis=0) > 0
        np.testing.assert_allclose(
            connectome.r[:, inside], wanted.r[:, inside], rtol=0, atol=1e-5
        )


@pytest.mark.slow
def test_confounds_and_frames_of_an_array_are_taken_away():
    bundle, rng = bids_dtg.load_bundle("demo"), np.random.default_rng(0)
    bold = rng.standard_normal((*bundle.grid.shape, 24), dtype=np.float32)
    drift, keep = rng.standard_normal(24), np.arange(24) != 7
    spoilt = bold + (5 * drift).astype(np.float32)
    spoilt[..., 7] = 1e4

    def measured(array):
        return bids_dtg.measure_array(
            array,
            bundle.grid.affine,
            bundle,
            repetition_time_s=2.0,
            confounds=drift[:, None],
            keep=keep,
        )

    clean, cleaned = measured(bold), measured(spoilt)
    assert cleaned.frames == 23
    np.testing.assert_allclose(cleaned.r, clean.r, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"repetition_time_s": 2000.0}, ValueError, "above 0 and at most 20"),
        ({"bold": np.zeros((4, 4, 4))}, ValueError, r"bold is \(i, j, k, frames\)"),
        ({"affine": np.diag([2.0, 2.0, 0.0, 1.0])}, ValueError, "cannot be inverted"),
        ({"bold": np.ones((4, 4, 4, 9)) * 1j}, TypeError, "real numbers"),
        ({"keep": np.arange(9)}, TypeError, "True or False"),
        ({"confounds": np.full((9, 1), np.nan)}, ValueError, "no finite number"),
        ({"bundle": "demo"}, TypeError, "the bundle is a str"),
        ({}, RunError, "the array has signal in 0% of the model's grey matter"),
    ],
)
def test_an_array_that_says_nothing_is_refused(change, kind, words):
    """A connectome of zeros, or of other frames than were meant, gives maps like any other."""
    bundle = bids_dtg.load_bundle("demo")
    arguments = {
        "bold": np.ones((4, 4, 4, 9)),
        "affine": bundle.grid.affine,
        "bundle": bundle,
    }
    with pytest.raises(kind, match=words):
        bids_dtg.measure_array(**{**arguments, "repetition_time_s": 2.0, **change})


@pytest.mark.slow
def test_what_is_no_connectome_is_refused():
    bundle = bids_dtg.load_bundle("demo")
    r = np.full((len(bundle.roi_maps), bundle.places.number), 5.0, np.float32)
    with pytest.raises(TypeError, match="the connectome is a ndarray"):
        bids_dtg.predict_maps(r, bundle)
    with pytest.raises(TypeError, match="real numbers, not complex64"):
        Connectome(r * 1j, 100, 400.0)
    with pytest.raises(SettingsError, match=r"values up to 5\. Expected: correlations"):
        bids_dtg.predict_maps(Connectome(r, 100, 400.0), bundle, device="cpu")


def test_options_are_completed_and_misspelt_ones_named():
    options = inspect.signature(bids_dtg.Settings.of).parameters
    assert {"bids_dir", "model", "denoise_strategy", "fd_threshold"} <= options.keys()
    assert all(option.kind is option.KEYWORD_ONLY for option in options.values())
    with pytest.raises(
        SettingsError, match=r"'denoise_stategy'.*did you mean denoise_strategy"
    ):
        bids_dtg.Settings.of(denoise_stategy="none")


def test_run_workflow_returns_an_exit_code_or_raises(tmp_path):
    settings = bids_dtg.Settings.of(
        bids_dir=tmp_path,
        output_dir=tmp_path / "out",
        analysis_level="participant",
        model="demo",
    )
    with pytest.raises(SettingsError, match="--denoise-strategy is 'sample'"):
        bids_dtg.run_workflow(settings.replace(denoise_strategy="sample"))
