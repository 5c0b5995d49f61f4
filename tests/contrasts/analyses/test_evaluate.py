"""What a model is compared with where people apart from its own judge it."""

from __future__ import annotations

import numpy as np
import pytest
from given import sets
from tiny_bundle import write_tiny_bundle
from tiny_cohort import read_json
from tiny_job import read_table

from bids_dtg.cli.run import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.demo import write_people
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.streams import Cohort

TRAINED, NEW = 16, 10
CONTRASTS = ("gamblingReward", "languageMathVsStory", "motorAvg")


@pytest.mark.slow
def test_new_people_are_compared_with_the_mean_of_the_model_s_training_people(tmp_path):
    """The mean of ten is poor: a model that knows nothing of a person would be far above it."""
    phantom = Phantom(block=4)
    anatomy = phantom.anatomy
    grid = {"shape": anatomy.grid.shape, "affine": np.asarray(anatomy.grid.affine)}
    base = write_tiny_bundle(tmp_path / "base", masks=(anatomy.brain, anatomy.grey), **grid)

    def analyse(analysis: str, cohort: Cohort, number: int, *words: object) -> None:
        folder = tmp_path / cohort.name
        people = [phantom.person(cohort, index) for index in range(number)]
        write_people(folder, phantom, people, program="test")
        data = ("-d", f"fmriprep={folder / 'fmriprep'}", f"statmaps={folder / 'statmaps'}")
        line = (
            folder / "fmriprep",
            tmp_path / f"out-{analysis}",
            "group",
            "--analysis",
            analysis,
            *data,
        )
        assert main([str(word) for word in (*line, *words)]) == 0

    labels = [f"sim{person:03d}" for person in range(1, TRAINED + 1)]
    trains = ("--model", base.path, *sets(labels, 0, 0), "--contrast", *CONTRASTS)
    analyse("train", Cohort.TRAINING, TRAINED, *trains)
    bundle = load_bundle(tmp_path / "out-train/group/model-own/bundle")
    analyse("evaluate", Cohort.TEST, NEW, "--model", bundle.path)
    folder = tmp_path / "out-evaluate/group/evaluation-own"
    rows = {row["model"]: row for row in read_table(folder / "desc-models_scores.tsv")}
    measured = np.stack(
        [
            [
                bundle.voxels.read(path)
                for contrast in bundle.contrasts
                for path in (tmp_path / "TEST/statmaps").rglob(
                    f"sub-sim{person:03d}_ses-test*contrast-{contrast.label}_*statmap.nii.gz"
                )
            ]
            for person in range(1, NEW + 1)
        ]
    )
    assert measured.shape == (NEW, len(CONTRASTS), bundle.places.number)
    expected = [
        np.corrcoef(bundle.mean[q], maps[q])[0, 1]
        for maps in measured
        for q in range(len(CONTRASTS))
    ]
    assert float(rows["group average"]["r"]) == pytest.approx(np.mean(expected), abs=1e-4)
    above = float(rows["model own"]["r"]) - np.mean(expected)
    assert float(rows["model own"]["r_minus_group_average"]) == pytest.approx(above, abs=2e-4)
    # The mean of the others, as models have it that carry no mean of their own, is far below.
    total = measured.sum(axis=0)
    others = [
        np.corrcoef(total[q] - maps[q], maps[q])[0, 1]
        for maps in measured
        for q in range(len(CONTRASTS))
    ]
    assert np.mean(others) < np.mean(expected)
    assert read_json(folder / "desc-models_scores.json")["fitted_on"] == TRAINED
    page = " ".join((folder / "report.html").read_text().split())
    assert "The group average is that of the 16 participants that the model was trained on" in page
