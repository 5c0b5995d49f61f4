"""The model that is used without ``--model``: which one, and where that is said."""

from __future__ import annotations

import json
import shutil
import tomllib
import warnings
from pathlib import Path

import pytest
from maps_bundle import move_program_folders, write_tiny_bundle
from maps_cohort import TinyCohort
from maps_job import TinyJob, tree

from bids_dtg import TaskMaps
from bids_dtg.bundles import store
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.participant.worker import LEVEL

DEFAULT, PACKAGED = "hcp-ya", "hcp-glasser"


class PlainJob(TinyJob):
    """A job without ``--model``."""

    def arguments(self, *options: object, out: Path | None = None) -> list[str]:
        words = super().arguments(*options, out=out)
        first = words.index("--model")
        return words[:first] + words[first + 2 :]


class PlainCohort(TinyCohort):
    """A cohort without ``--model``."""

    def arguments(self, *options: object, out: Path | None = None) -> list[str]:
        words = super().arguments(*options, out=out)
        first = words.index("--model")
        return words[:first] + words[first + 2 :]


@pytest.fixture
def folders(tmp_path, monkeypatch) -> Path:
    """Move the program's models, with a tiny one of voxels in the packaged one's place."""
    monkeypatch.delenv("DTG_MODEL_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    move_program_folders(monkeypatch, tmp_path)
    write_tiny_bundle(tmp_path / "package" / PACKAGED, name=PACKAGED, contrasts=2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(folders) -> PlainJob:
    return PlainJob(folders, ("01", "02"))


def install(folders: Path, name: str = DEFAULT) -> None:
    """Put a model with another number of contrasts into the user's cache."""
    cache = folders / "cache" / "bids_dtg" / "models"
    write_tiny_bundle(cache / name, name=name, contrasts=3, seed=1)


def facts_of(out: Path) -> list[dict]:
    """Return what the maps of each participant have in common, for two participants."""
    paths = sorted(out.glob("sub-*/*_statmap.json"))
    facts = [json.loads(path.read_text()) for path in paths]
    first, second = (fact for fact in facts if "ModelName" in fact)
    return [first, second]


def text_of(path: Path) -> str:
    return " ".join(path.read_text().split())


def the_error(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line.partition("error: ")[2]


def test_the_packaged_model_is_used_and_everything_says_so(job, capsys):
    job.reports = True
    assert job.run() == 0
    first = capsys.readouterr().err.splitlines()[0]
    for words in (f"{PACKAGED} is used", f"dtg-models fetch {DEFAULT}"):
        assert words in first
    sentence = f"The model {PACKAGED} was used because --model was not given"
    for path in (job.out / "sub-01.html", job.out / "logs" / "CITATION.md"):
        assert sentence in text_of(path)
        assert f"dtg-models fetch {DEFAULT} installs it" in text_of(path)
    for facts in facts_of(job.out):
        assert facts["ModelName"] == PACKAGED
        assert facts["ModelChoiceNote"].startswith(sentence)
    (versions,) = job.out.glob("logs/*/versions.json")
    record = json.loads(versions.read_text())
    assert record["model"].startswith(f"{PACKAGED} ")
    assert record["model_choice"].startswith(sentence)
    config = tomllib.loads((versions.parent / "config.toml").read_text())
    assert "model" not in config["model"]


def test_hcp_ya_is_used_where_it_is_installed(job, folders, capsys):
    install(folders)
    assert job.run() == 0
    assert "--model" not in capsys.readouterr().err
    for facts in facts_of(job.out):
        assert facts["ModelName"] == DEFAULT
        assert "ModelChoiceNote" not in facts


def test_a_model_that_is_written_out_is_this_one_or_none(job, capsys):
    assert job.run("--model", DEFAULT) == 2
    assert the_error(capsys).startswith(f"no model called '{DEFAULT}'")
    assert not job.out.exists()
    assert job.run("--model", PACKAGED) == 0
    assert "--model" not in capsys.readouterr().err
    assert not any("ModelChoiceNote" in facts for facts in facts_of(job.out))
    # It is the same work, whoever chose the model.
    assert job.run() == 0
    assert "2 already complete" in capsys.readouterr().err


def test_a_model_of_another_workflow_is_not_taken_for_none(job, capsys):
    assert job.run("--workflow", "twin", "--model", DEFAULT) == 2
    assert f"no model called '{DEFAULT}'" in the_error(capsys)


def test_maps_of_another_model_are_not_replaced_unasked(job, folders, capsys):
    assert job.run("--model", job.model) == 0
    before = tree(job.out)
    capsys.readouterr()
    for options in ([], ["--dry-run"], ["--participant-label", "02"]):
        assert job.run(*options) == 2
        line = the_error(capsys)
        assert (
            "has maps of tiny (sub-01_" in line or "has maps of tiny (sub-02_" in line
        )
        for words in (
            f"{PACKAGED} (used because {DEFAULT} is not installed)",
            "--model tiny to add",
            f"--model {PACKAGED} to replace",
        ):
            assert words in line
    assert tree(job.out) == before
    # One person's maps are replaced by name; then each folder is of two models.
    assert job.run("--model", PACKAGED, "--participant-label", "01") == 0
    assert "are replaced by maps of hcp-glasser" in capsys.readouterr().err
    assert [facts["ModelName"] for facts in facts_of(job.out)] == [PACKAGED, "tiny"]
    third = hcp_contrasts()[2].label
    assert not [*job.out.glob(f"sub-01/func/*_contrast-{third}_*")]
    assert job.run() == 2
    assert "has maps of tiny (sub-02_" in the_error(capsys)
    assert job.run("--model", PACKAGED) == 0
    assert not [*job.out.rglob(f"*_contrast-{third}_*")]
    capsys.readouterr()
    install(folders)
    assert job.run() == 2
    line = the_error(capsys)
    assert f"has maps of {PACKAGED} (sub-01_" in line
    assert f"not of {DEFAULT}, which would be used" in line


def test_an_option_that_the_model_cannot_follow_says_why_it_is_used(
    job, monkeypatch, capsys
):
    monkeypatch.setattr(store, "PACKAGE_FOLDER", Path(store.__file__).parent)
    why = f" (used because {DEFAULT} is not installed)"
    assert job.run("--smoothing-fwhm", "6") == 2
    line = the_error(capsys)
    assert line.startswith(f"--smoothing-fwhm was given with {PACKAGED}{why},")
    assert job.run("--smoothing-fwhm", "6", "--model", PACKAGED) == 2
    assert the_error(capsys) == line.replace(why, "")


def test_training_takes_no_packaged_model_for_a_template(folders, capsys):
    job = PlainCohort(folders, ("01", "02"))
    assert job.analyse("finetune") == 2
    line = the_error(capsys)
    assert "--analysis finetune was given without --model" in line
    assert f"Expected: --model {DEFAULT}, or another network" in line
    assert job.analyse("train") == 2
    line = the_error(capsys)
    assert f"and the usual one, {DEFAULT}, is not installed" in line
    remedy = f"dtg-models fetch {DEFAULT}, or --model demo to try it on simulated data"
    assert line.endswith(f"To do: {remedy}.")
    install(folders)
    assert job.analyse("train", "--dry-run") == 2
    assert "too few for a linear model" in capsys.readouterr().err


def test_an_evaluation_follows_the_same_rule(folders, capsys):
    labels = [contrast.label for contrast in hcp_contrasts()[:2]]
    job = PlainCohort(folders, [f"{n:02d}" for n in range(1, 5)], contrasts=labels)
    assert job.analyse("evaluate", "--dry-run") == 0
    printed = capsys.readouterr()
    assert f"{PACKAGED} is used" in printed.err.splitlines()[0]
    install(folders)
    assert job.analyse("evaluate", "--dry-run") == 0
    assert "--model" not in capsys.readouterr().err


def test_a_process_of_its_own_knows_why_the_model_is_used(job):
    settings = job.settings(no_reports=True)
    assert LEVEL((settings, "nobody named it")).request.why_model == "nobody named it"


def test_the_estimator_follows_the_same_rule(job, folders):
    with pytest.warns(UserWarning, match=f"{PACKAGED} is used.*fetch {DEFAULT}"):
        assert TaskMaps().fit().bundle_.card.name == PACKAGED
    install(folders)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TaskMaps().fit().bundle_.card.name == DEFAULT


# A link to itself cannot be read by anybody, root included.
@pytest.mark.parametrize("place", ["folder", "model", "absent"])
def test_a_folder_of_models_that_cannot_be_read_is_named(
    job, folders, monkeypatch, capsys, place
):
    listed = folders / "lab"
    monkeypatch.setenv("DTG_MODEL_DIR", str(listed))
    unread, reason = listed, "absent"
    if place == "model":
        listed.mkdir()
        unread = listed / DEFAULT
        (listed / "other").symlink_to(listed / "other")
    if place != "absent":
        unread.symlink_to(unread)
        reason = "Too many levels of symbolic links"
    named = f"cannot be read: {unread} ({reason})"
    assert job.run("--dry-run") == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert f"{PACKAGED} is used" in first
    assert named in first
    assert "other" not in first
    install(folders)
    assert job.run("--dry-run") == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert f"{DEFAULT} is used; {named}" in first
    shutil.rmtree(folders / "cache")
    assert job.run("--model", DEFAULT) == 2
    assert named in the_error(capsys)
    assert job.run("--model", PACKAGED, "--dry-run") == 0
    assert "cannot be read" not in capsys.readouterr().err
