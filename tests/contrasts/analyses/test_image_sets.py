"""Linear models of images with several sets of ROI maps, made from the training people's rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_cohort import LABELS, TinyCohort
from tiny_job import read_table

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.files.array_store import ArrayStore

SETS = (3, 5)
WORDS = ("--architecture", "linear", "--rois", *SETS, "--held-out", 0, 0.25)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def model(cohort):
    assert cohort.analyse("train", *WORDS) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


def test_a_bundle_keeps_the_sets_in_16_bits_and_says_how_they_were_made(cohort, model):
    part = model.card.part
    assert part.connectome == Form("partial", standardised=True, fixed=0.06, sets=SETS)
    card = json.loads((model.path / "model.json").read_text())
    assert card["format_version"] == 6
    assert [one["name"] for one in card["rois"]] == ["rois3", "rois5"]
    assert "maps.nii.gz" not in card["files"]
    assert model.roi_maps.dtype == np.float16
    assert isinstance(model.roi_maps, np.memmap)
    assert model.roi_maps.shape == (sum(SETS), model.places.number)
    made = card["record"]["roi_maps"]
    assert [(one["rois"], one["people"]) for one in made] == [(3, 6), (5, 6)]
    kept = ArrayStore(cohort.out / "group/model-own/arrays")
    names = [path.name for path in (kept.root / "sub-01").glob("partial*.npy")]
    assert names


def test_a_participant_has_files_of_each_set(cohort, model, tmp_path):
    words = ("--participant-label", "01", "--model", model.path, "--write-connectome")
    assert cohort.run(*words, out=tmp_path) == 0
    for number in SETS:
        found = [path.name for path in tmp_path.rglob(f"*_seg-rois{number}_*")]
        for ending in (
            "stat-pearsoncorrelation_desc-connectome_relmat.tsv",
            "stat-partial_desc-connectome_statmap.nii.gz",
            "desc-rois_timeseries.tsv",
        ):
            assert sum(name.endswith(ending) for name in found) == 1, (ending, found)
        (series,) = tmp_path.rglob(f"*_seg-rois{number}_*timeseries.tsv")
        assert len(read_table(series)) > 0
        assert len(series.read_text().splitlines()[0].split("\t")) == number
    page = next(tmp_path.glob("sub-01*.html")).read_text()
    assert f"cleaned series of {SETS[-1]} ROIs" in page
    (sidecar,) = (path for path in tmp_path.rglob("*synthetic_statmap.json") if _is_common(path))
    (run,) = json.loads(sidecar.read_text())["Runs"]
    assert run["Cleaning"]["PlacesStandardisedBy"] == "all frames"


def _is_common(path):
    return "Runs" in json.loads(path.read_text())


def test_predicted_maps_are_those_of_the_cached_connectomes(cohort, model, tmp_path):
    assert len(LABELS) == 8
