"""A network model of what the participant level wrote: trained, and used on the same people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from output_series import REGIONS, write_people, write_run
from tiny_networks import TRAIN

from bids_dtg.cli.run import main
from bids_dtg.dynamics.bundle.network import load_network_bundle


def arguments(out: Path, analysis: str, *more: str) -> list[str]:
    group = ("group", "--workflow", "dynamics", "--analysis", analysis)
    return [str(out), str(out.parent / "out"), *group, "--omp-nthreads", "1", *more]


@pytest.mark.slow
def test_a_model_of_outputs_knows_their_atlas_and_simulates_its_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = write_people(tmp_path / "out")
    bids = tmp_path / "bids"
    bids.mkdir()
    assert main(arguments(bids, "train", *TRAIN)) == 0
    bundle = load_network_bundle(out / "group" / "model-own" / "bundle")
    part = bundle.part
    assert (part.atlas, part.atlas_digest, part.tr_seconds) == ("Tiny_seg-8n", "abc", 0.8)
    assert part.session == "1"
    assert bundle.card.training.cleaning == "fMRIPrep derivatives, simple"
    assert bundle.regions == REGIONS
    with_model = ("--model", str(bundle.path), "--simulations", "1")
    assert main(arguments(bids, "simulate", *with_model)) == 0
    simulated = np.load(out / "group" / "simulation-own" / "desc-simulated_series.npz")
    assert simulated["simulated"].shape[-2:] == (len(REGIONS), 90)
    assert len(simulated["people"]) == 4
    for label in ("01", "02", "03", "04"):
        write_run(out, label, Atlas={"SHA256": "other"})
    capsys.readouterr()
    assert main(arguments(bids, "simulate", *with_model, "--session-label", "1")) == 2
    assert "are not those of Tiny_seg-8n that the model own was fitted to" in (
        capsys.readouterr().err
    )
