"""The group level killed at any point, by a full disk or by another call: whole, and as before."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest
from forked_jobs import ForkingProcess, Signal
from given import sets
from tiny_cohort import TinyCohort
from tiny_job import tree

LABELS = tuple(f"{number:02d}" for number in range(1, 13))
CONTRASTS = ("languageMath", "languageStory")  # which the tiny bundle predicts
REPLACE, RENAME = "pathlib:Path.replace", "pathlib:Path.rename"


def kill(target: str, call: int = 1, when: str = "before", matching: str = "") -> Signal:
    return Signal(signal.SIGKILL, target, call, when, matching)


POINTS = {
    "train": {
        "writing connectomes of the second": kill(
            REPLACE, 2, "cut", "connectomes_of_whole_runs.npy"
        ),
        "before facts of maps": kill(REPLACE, 3, "before", "target_maps.json"),
        "writing the split": kill(REPLACE, 1, "cut", "desc-split_participants.tsv"),
        "writing scores": kill(REPLACE, 1, "cut", "_scores.tsv"),
        "writing the page": kill(REPLACE, 1, "cut", "report.html"),
        "before naming the bundle": kill(RENAME, 1, "before", "bundle"),
        "after naming the bundle": kill(RENAME, 1, "after", "bundle"),
    },
    "evaluate": {
        "before whose it is": kill(REPLACE, 1, "before", "desc-evaluated_model.json"),
        "writing its options": kill(REPLACE, 1, "cut", "configuration.toml"),
        "writing scores": kill(REPLACE, 1, "cut", "_scores.tsv"),
        "writing the page": kill(REPLACE, 1, "cut", "report.html"),
    },
    "group": {
        "writing a mean": kill(REPLACE, 1, "cut", "desc-groupMean_statmap.nii.gz"),
        "before the second sidecar": kill(REPLACE, 2, "before", "desc-groupMean_statmap.json"),
        "writing the table": kill(REPLACE, 1, "cut", "desc-runs_qc.tsv"),
        "writing the page": kill(REPLACE, 1, "cut", "group.html"),
    },
}
QUICK = {("train", "before naming the bundle"), ("group", "writing a mean")}
CASES = [
    pytest.param(job, point, marks=() if (job, point) in QUICK else pytest.mark.slow)
    for job, points in POINTS.items()
    for point in points
]


def contents(folder: Path) -> dict[str, str]:
    """Return the hashes of all files; of pages without the time at which they were made."""
    found = tree(folder)
    for name in found:
        if name.endswith(".html"):
            found[name] = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", (folder / name).read_text())
    return found


class Jobs:
    """Calls of the group level whose undisturbed results are kept, made at one place."""

    def __init__(self, folder: Path, forks: ForkingProcess) -> None:
        self.cohort, self.forks = TinyCohort(folder, LABELS, contrasts=CONTRASTS), forks
        self.cohort.level = "group"
        self.out, self.errors = self.cohort.out, folder / "errors.txt"
        self._kept: dict[str, Path] = {}

    def arguments(self, job: str, *more: object) -> list[str]:
        cohort = self.cohort
        if job == "group":
            return [str(word) for word in (cohort.bids, self.out, "group", *more)]
        words = ["-d", f"fmriprep={cohort.bids}", "-d", f"statmaps={cohort.statmaps}"]
        words += ["--analysis", job]
        if job == "train":
            words += ["--architecture", "linear", *sets(LABELS, 0, 0.25)]
        return cohort.arguments(*words, *more)

    def run(self, *calls: list[str], **options: object) -> list[int]:
        self.errors.write_text("")
        return self.forks.run(*calls, stderr=self.errors, **options)

    def begin(self, job: str) -> None:
        """Empty the output folder, but for what the job gathers."""
        shutil.rmtree(self.out, ignore_errors=True)
        if job == "group":
            if "people" not in self._kept:
                self.cohort.level = "participant"
                assert self.run(self.cohort.arguments()) == [0]
                self.cohort.level = "group"
                self._kept["people"] = self.cohort.folder / "people"
                self.out.rename(self._kept["people"])
            shutil.copytree(self._kept["people"], self.out)

    def whole(self, job: str) -> dict[str, str]:
        if job not in self._kept:
            self.begin(job)
            assert self.run(self.arguments(job)) == [0], self.errors.read_text()
            self._kept[job] = self.cohort.folder / f"whole {job}"
            self.out.rename(self._kept[job])
        return contents(self._kept[job])

    def left(self) -> list[Path]:
        """Return temporaries and locks."""
        return [*self.out.rglob(".dtg-*"), *self.out.rglob("*.lock")]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    with ForkingProcess() as forks:
        yield Jobs(tmp_path_factory.mktemp("groups"), forks)


@pytest.mark.slow
@pytest.mark.parametrize(("job", "point"), CASES)
def test_killed_and_run_again(jobs, job, point):
    whole = jobs.whole(job)
    jobs.begin(job)
    assert jobs.run(jobs.arguments(job), signal=POINTS[job][point]) == [-signal.SIGKILL]
    assert jobs.run(jobs.arguments(job)) == [0], jobs.errors.read_text()
    assert contents(jobs.out) == whole
    assert jobs.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("job", ["train", "group"])
def test_asked_to_stop_leaves_neither_locks_nor_temporaries(jobs, job):
    matching = {"train": "_scores.tsv", "group": "desc-groupMean_statmap.nii.gz"}[job]
    jobs.begin(job)
    signals = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
    for number, code in signals:
        where = Signal(number, REPLACE, 1, "before", matching)
        assert jobs.run(jobs.arguments(job), signal=where) == [code]
        assert jobs.left() == []


@pytest.mark.parametrize("job", [pytest.param("evaluate", marks=pytest.mark.slow), "group"])
def test_two_calls_at_once_leave_whole_files(jobs, job):
    whole = jobs.whole(job)
    jobs.begin(job)
    codes = jobs.run(jobs.arguments(job), jobs.arguments(job))
    told = jobs.errors.read_text()
    assert sorted(codes) in ([0, 0], [0, 2])
    assert "Traceback" not in told
    assert "internal error" not in told
    assert told.count("is in use by ") == codes.count(2)
    assert contents(jobs.out) == whole
    assert jobs.left() == []


@pytest.mark.slow
def test_of_two_trainings_of_one_name_one_is_refused(jobs):
    whole = jobs.whole("train")
    jobs.begin("train")
    codes = jobs.run(jobs.arguments("train"), jobs.arguments("train"))
    told = jobs.errors.read_text()
    assert sorted(codes) == [0, 2], told
    assert "group/model-own is in use by " in told
    assert "choose another --model-name" in told
    assert contents(jobs.out) == whole
    assert jobs.left() == []


@pytest.mark.slow
def test_other_contrasts_at_once_do_not_replace_arrays_in_use(jobs):
    jobs.begin("train")
    calls = [
        jobs.arguments("train", "--contrast", contrast, "--model-name", contrast)
        for contrast in CONTRASTS
    ]
    codes = jobs.run(*calls)
    told = jobs.errors.read_text()
    assert "internal error" not in told
    assert set(codes) <= {0, 2}, told
    assert 0 in codes
    assert jobs.left() == []
    for call, code in zip(calls, codes, strict=True):
        if code == 2:
            assert "in use by " in told
            assert jobs.run(call) == [0]


SIZES = (20, 100, 400)  # KiB
FULL = [
    pytest.param(job, size, marks=() if (job, size) == ("train", 20) else pytest.mark.slow)
    for job in ("train", "evaluate", "group")
    for size in SIZES
]


@pytest.mark.slow
@pytest.mark.parametrize(("job", "size"), FULL)
def test_files_that_cannot_grow_are_one_line(jobs, job, size):
    whole = jobs.whole(job)
    jobs.begin(job)
    (code,) = jobs.run(jobs.arguments(job), file_size=size * 1024)
    told = jobs.errors.read_text()
    assert "Traceback" not in told
    assert "internal error" not in told
    if code:
        assert "File too large" in told
        assert code == (2 if "cannot be used for temporary files" in told else 1), told
    assert jobs.left() == []
    if code:
        assert jobs.run(jobs.arguments(job)) == [0]
    assert contents(jobs.out) == whole
