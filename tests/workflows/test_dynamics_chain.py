"""The network model from simulated images, as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bids_check import require_every_file_seen, require_listed_names, validate

from bids_dtg.cli.phantom import main as write_phantom
from bids_dtg.cli.run import main

PEOPLE = 5


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Path:
    """Outputs of a network that was trained on simulated people, and of its simulations."""
    folder = tmp_path_factory.mktemp("chain")
    data, study = folder / "data", folder / "study"
    written = [str(data), "--workflow", "dynamics", "--participants", str(PEOPLE)]
    assert write_phantom(written) == 0
    (atlas,) = (data / "atlas").rglob("*_dseg.nii.gz")
    common = ["--workflow", "dynamics", "--omp-nthreads", "1"]
    of_runs = [*common, "--atlases", str(atlas)]
    of_runs += ["--structural-connectivity", str(data / "connectomes")]
    fmriprep = str(data / "fmriprep")
    assert main([fmriprep, str(study), "participant", *of_runs]) == 0
    training = ["--analysis", "train", "--architecture", "network", "--epochs", "30"]
    assert (
        main(
            [fmriprep, str(study), "group", *common, *training, "--model-name", "chain"]
        )
        == 0
    )
    model = ["--model", str(study / "group/model-chain/bundle"), "--simulations", "2"]
    assert (
        main([fmriprep, str(study), "group", *common, "--analysis", "simulate", *model])
        == 0
    )
    return folder


@pytest.mark.slow
def test_everybody_has_parameters_and_simulations(chain):
    group = chain / "study/group"
    table = pd.read_csv(group / "model-chain/desc-regions_parameters.tsv", sep="\t")
    assert len(table) == PEOPLE * 20
    assert np.isfinite(table[["theta1", "theta2", "theta3", "theta1_sd"]]).all(
        axis=None
    )
    with np.load(group / "simulation-chain/desc-simulated_series.npz") as arrays:
        assert arrays["simulated"].shape[:3] == (PEOPLE, 2, 20)


@pytest.mark.slow
def test_what_is_written_is_bids(chain, tmp_path):
    validation = validate(chain / "study")
    assert (validation.errors, validation.warnings) == ([], [])
    require_listed_names(chain / "study", "dynamics", tmp_path)
    assert require_every_file_seen(chain / "study", tmp_path) > 30
