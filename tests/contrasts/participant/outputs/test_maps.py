"""What describes a participant's maps: one sidecar, and each file's own header."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import tiny_masks, with_half_widths, write_tiny_bundle
from maps_job import TinyJob, map_facts

from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contents import find_participant

pytestmark = pytest.mark.slow

MAPS = "sub-01/func/*_desc-synthetic_statmap.nii.gz"


def facts_of(job: TinyJob) -> list[dict]:
    """The facts of each map, in the order of the model's contrasts."""
    assert job.run() == 0
    by_name = {facts["Contrast"]: facts for facts in map(map_facts, job.out.glob(MAPS))}
    return [by_name[contrast.name] for contrast in job.bundle.contrasts]


def test_gains_and_maps_that_are_the_same_for_everybody_are_recorded(tmp_path):
    """The first gain is 0, and the third contrast does not vary either."""
    gains = np.array([0, 0.5, 1.5], np.float32)
    correction = Correction(gains, np.ones((3, int(tiny_masks()[1].sum())), np.float32))
    job = TinyJob(tmp_path)
    facts = {
        "recentring": Recentring(40, 4),
        "same_for_all": (job.bundle.contrasts[2].label,),
    }
    job.model = tmp_path / "corrected"
    write_tiny_bundle(job.model, correction=correction, **facts)
    facts_of_maps = facts_of(job)
    assert [of_map["Gain"] for of_map in facts_of_maps] == [0, 0.5, 1.5]
    assert all(of_map["Recentred"] is True for of_map in facts_of_maps)
    assert [of_map.get("Individual") for of_map in facts_of_maps] == [
        False,
        None,
        False,
    ]
    assert "the same for everybody" in facts_of_maps[0]["IndividualNote"]


def test_a_copied_map_names_model_version_and_cleaning(tmp_path):
    job = TinyJob(tmp_path)
    for facts in facts_of(job):
        assert not {"Recentred", "Gain"} & set(facts)
    for path in job.out.glob(MAPS):
        image = nib.load(path)
        ((code, text),) = (
            (extension.get_code(), extension.text)
            for extension in image.header.extensions
        )
        header = json.loads(text)
        assert code == 6
        assert header["Contrast"] in path.name
        assert (header["ModelName"], header["ModelVersion"]) == ("tiny", "0")
        assert header["ModelSHA256"] == job.bundle.identity
        assert (header["DenoiseStrategy"], header["Synthetic"]) == ("simple", True)
        assert image.dataobj.offset % 16 == 0


def test_a_session_has_one_sidecar_for_all_maps(tmp_path):
    job = TinyJob(tmp_path)
    assert job.run() == 0
    (shared,) = (job.out / "sub-01").rglob("*statmap.json")
    assert shared.name == "sub-01_task-rest_statmap.json"
    (average,) = find_participant(DerivativeDataset(job.out), "01").averages
    assert {shown.label: (shown.name, shown.task) for shown in average.maps} == {
        contrast.label: (contrast.name, contrast.task)
        for contrast in job.bundle.contrasts
    }


def test_half_widths_of_another_model_take_the_place_of_the_first_ones(tmp_path):
    job = TinyJob(tmp_path)
    second_model = write_tiny_bundle(tmp_path / "plain", seed=1)
    for number, bundle in enumerate((job.bundle, second_model)):
        model = with_half_widths(bundle, tmp_path / f"sure{number}")
        job.model = model.path
        assert job.run() == 0
        (sidecar,) = job.out.glob("tpl-*/*_desc-halfwidth_statmap.json")
        assert json.loads(sidecar.read_text())["ModelSHA256"] == model.identity
        images = [*job.out.glob("tpl-*/*_desc-halfwidth_statmap.nii.gz")]
        assert {
            json.loads(nib.load(path).header.extensions[0].text)["ModelSHA256"]
            for path in images
        } == {model.identity}
