"""Each option that an analysis lists is read by it, and by more than its records."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import image_people
import network_arrays
import numpy as np
import pytest
import twin_people
from maps_job import TinyJob
from network_job import NetworkJob, write_core
from trained import Trained
from twin_job import TwinJob
from written_cohort import PARCELS, WrittenCohort

from bids_dtg import settings as module
from bids_dtg.cli.run import main
from bids_dtg.settings import FIELDS, Settings
from bids_dtg.statistics.analyses import ANALYSES
from bids_dtg.workflows import all_workflows, find_workflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="forked processes note what they read"
    ),
]
# These read all options, or use them only to name folders in files or to refuse them.
BOOKKEEPING = {
    *(
        "options",
        "result_options",
        "replace",
        "__init__",
        "__eq__",
        "__hash__",
        "folders",
    ),
    *(
        "with_provenance",
        "_refuse_options_of_others",
        "_wrong_values",
        "_wrong_together",
        "check",
    ),
}


class Spy:
    """Notes in a file which options are read, also in forked processes."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.file = (
            path,
            os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY),
        )
        note = self.note
        whole = Settings.options.fget

        class Options(dict[str, Any]):
            def __getitem__(self, name: str) -> Any:
                note(name)
                return super().__getitem__(name)

        def reading(part: Any, name: str) -> Any:
            note(name)
            return object.__getattribute__(part, name)

        for part in (*module._PARTS.values(), *module._SLICE_PARTS):
            monkeypatch.setattr(part, "__getattribute__", reading)
        monkeypatch.setattr(
            Settings, "options", property(lambda settings: Options(whole(settings)))
        )

    def note(self, name: str) -> None:
        frame = sys._getframe(2)
        while frame.f_code.co_name.startswith("<") and frame.f_back:  # a comprehension
            frame = frame.f_back
        if name in FIELDS and frame.f_code.co_name not in BOOKKEEPING:
            os.write(self.file, f"{name}\n".encode())

    @property
    def names(self) -> set[str]:
        return set(self.path.read_text().split())


Words = list[object]


def of_contrasts(folder: Path, analysis: str | None) -> Iterator[Words]:
    """Yield the words of calls that together read all options of an analysis of maps."""
    if analysis is None:
        yield TinyJob(folder).arguments()
        return
    data = image_people.write(folder / "data", **image_people.people())
    networks = ("--architecture", "attention-unet", "--epochs", 1)
    variants = {
        "train": [("--architecture", "linear"), networks],
        "finetune": [("--epochs", 1)],
    }
    for number, words in enumerate(variants.get(analysis, [()])):
        yield image_people.arguments(data, folder / f"out{number}", analysis, *words)


def of_statistics(folder: Path, analysis: str) -> Iterator[Words]:
    """Yield the words of a call that reads all options of an analysis over people."""
    cohort, rng = WrittenCohort(folder, rois=PARCELS), np.random.default_rng(0)
    people = 16
    maps = rng.normal(size=(people, 3, cohort.places))
    cohort.write(
        maps,
        np.tile(np.eye(PARCELS), (people, 1, 1))
        + 0.1 * rng.normal(size=(people, PARCELS, PARCELS)),
        {
            "age": rng.integers(20, 40, people).tolist(),
            "score": rng.normal(size=people).tolist(),
        },
    )
    yield [
        *(
            cohort.bids,
            cohort.out,
            "group",
            "--analysis",
            analysis,
            "--atlases",
            cohort.atlas,
        ),
        *(
            ()
            if analysis == "embed"
            else ("--phenotype", "score", "--permutations", 19)
        ),
    ]


def of_dynamics(
    folder: Path, analysis: str | None, trained: Trained
) -> Iterator[Words]:
    """Yield the words of calls that together read all options of an analysis of dynamics."""
    job = NetworkJob(folder)
    structural = ("--structural-connectivity", job.structural)
    if analysis is None:
        yield job.arguments("--model", write_core(folder / "core"), *structural)
        return
    model = (
        network_arrays.TRAIN
        if analysis == "train"
        else ("--model", str(trained.bundle))
    )
    some = (
        ("--participant-label", "01") if analysis == "fixed-points" else ()
    )  # a minute less
    yield network_arrays.arguments(
        trained.inputs, folder / "arrays", analysis, *model, *some
    )
    yield job.arguments()
    yield [
        *(job.bids, job.out, "group", "--workflow", "dynamics", "--analysis", analysis),
        *(*model, *structural, "--dry-run"),
    ]


def of_twin(folder: Path, analysis: str | None, trained: Trained) -> Iterator[Words]:
    """Yield the words of calls that together read all options of an analysis of twins."""
    if analysis is None:
        job = TwinJob(folder)
        for label in ("01", "02"):
            job.give(label, "stroopAP")
        yield job.arguments()
        return
    data, out = trained.inputs, folder / "out"
    if analysis == "train":
        yield twin_people.arguments(data, out, analysis, *twin_people.TRAIN)
    elif analysis == "evaluate":
        yield twin_people.arguments(data, out, analysis, "--model", trained.bundle)
        yield twin_people.arguments(data, out, analysis, "--folds", 2, "--epochs", 2)
    else:
        many = twin_people.write_twins(folder / "many", number=14, telling=True)
        model = twin_people.quick_model(many, 11).path
        yield twin_people.arguments(
            many, out, analysis, "--model", model, "--permutations", 19
        )
    twin_people.write_sets(folder / "sets")
    words = ("--dry-run", "--model", trained.bundle)[: 1 if analysis == "train" else 3]
    yield twin_people.arguments(data, folder / "sets", analysis, *words, arrays=None)


def calls(
    folder: Path, workflow: str, analysis: str | None, models: Any
) -> Iterator[list[str]]:
    """Yield the words of calls that together read all options of a row."""
    if analysis in ANALYSES:
        calls_of_analysis = of_statistics(folder, analysis)
    elif workflow == "contrasts":
        calls_of_analysis = of_contrasts(folder, analysis)
    elif workflow == "dynamics":
        calls_of_analysis = of_dynamics(folder, analysis, models("trained_network"))
    else:
        calls_of_analysis = of_twin(folder, analysis, models("trained_twin"))
    for words in calls_of_analysis:
        yield [str(word) for word in words]


ROWS = [
    (row.name, name)
    for row in all_workflows()
    for name in (None, *row.analyses)
    if name not in ANALYSES or row.name == "contrasts"
]


@pytest.mark.parametrize(("workflow", "analysis"), ROWS)
def test_an_analysis_lists_the_options_that_it_reads(
    tmp_path, monkeypatch, request, workflow, analysis
):
    words = [*calls(tmp_path, workflow, analysis, request.getfixturevalue)]
    spy = Spy(tmp_path / "read", monkeypatch)
    for call in words:
        main(call)  # its exit code does not matter here
    row = find_workflow(workflow)
    unread = (
        row.reads(analysis) - spy.names - {"verbose"}
    )  # the program looks for -v itself
    assert sorted(unread) == []
    for other_workflow in all_workflows():
        assert analysis not in ANALYSES or other_workflow.reads(analysis) <= row.reads(
            analysis
        )
