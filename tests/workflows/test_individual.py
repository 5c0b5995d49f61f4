"""Contrasts of which a model knows nothing individual: named wherever their maps are shown."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_bundle import tiny_masks, write_tiny_bundle
from tiny_cohort import CONTRASTS, LABELS, TinyCohort
from tiny_job import TinyJob, add_rest, map_facts, tiny_bold

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.recentring import Correction


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Maps by a model whose first gain is 0, and whose third contrast does not vary either."""
    job = TinyJob(tmp_path_factory.mktemp("individual"), ("01", "02"))
    job.reports = True
    voxels = int(tiny_masks()[1].sum())
    correction = Correction(np.array([0, 0.7, 0.4], np.float32), np.ones((3, voxels), np.float32))
    labels = [contrast.label for contrast in job.bundle.contrasts]
    job.model = job.folder / "model"
    facts = {"recentring": Recentring(12, 1), "same_for_all": (labels[2],)}
    job.bundle = write_tiny_bundle(job.model, correction=correction, **facts)
    assert job.run() == 0
    return job


def test_the_sidecar_of_such_a_map_says_so(job):
    assert load_bundle(job.model).card.part.not_individual == (
        job.bundle.contrasts[0].label,
        job.bundle.contrasts[2].label,
    )
    for contrast in job.bundle.contrasts:
        (path,) = job.out.glob(f"sub-01/func/*_contrast-{contrast.label}_*desc-synthetic*")
        sidecar = map_facts(path)
        if contrast.index == 1:
            assert "Individual" not in sidecar
        else:
            assert sidecar["Individual"] is False
            assert "the same for everybody" in sidecar["IndividualNote"]


@pytest.mark.slow
def test_a_model_of_people_with_one_connectome_says_that_it_knows_nothing_of_them(tmp_path, capsys):
    cohort = TinyCohort(tmp_path)
    rest = tiny_bold()
    for number, label in enumerate(LABELS):  # frames in another order: no copies of one rest
        add_rest(cohort.bids, label, bold=np.roll(rest, 7 * number, axis=-1))
    split = tmp_path / "split.tsv"
    sides = zip(LABELS, ["training"] * 5 + ["validation"] * 3, strict=True)
    split.write_text("participant_id\tset\n" + "".join(f"sub-{p}\t{s}\n" for p, s in sides))
    words = ("--architecture", "linear", "--split-file", split, "--denoise-strategy", "none")
    assert cohort.analyse("train", *words) == 0
    told = capsys.readouterr().err
    assert "the same map for everybody in 2 of 2 contrasts, nothing individual was found: " in told
    assert ", ".join(CONTRASTS) in told
    part = load_bundle(cohort.out / "group/model-own/bundle").card.part
    assert part.not_individual == CONTRASTS
