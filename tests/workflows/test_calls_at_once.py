"""Two runs at once in one output folder: one gets it, and the other is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import image_people
import pytest
from forked_jobs import ForkingProcess, all_modules
from maps_job import tree

from bids_dtg.files.derivatives import DerivativeDataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forks():
    with ForkingProcess(*all_modules()) as process:
        yield process


def contents(folder: Path) -> dict[str, str]:
    """Return the hashes of results; of pages without the time at which they were made."""
    files = tree(folder / "group")
    for name in files:
        if name.endswith(".html"):
            text = (folder / "group" / name).read_text()
            files[name] = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text)
    return files


def test_of_two_other_trainings_one_is_refused(trained_maps, forks, tmp_path):
    out, errors = tmp_path / "out", tmp_path / "errors.txt"
    call = image_people.arguments(
        trained_maps.inputs, out, "train", *trained_maps.train_words
    )
    calls, whole = (call, [*call, "--seed", "1"]), []
    for words in calls:
        assert forks.run(words, stderr=errors) == [0], errors.read_text()
        whole.append(contents(out))
        shutil.rmtree(out)
    errors.write_text("")
    codes = forks.run(*calls, stderr=errors)
    log = errors.read_text()
    assert sorted(codes) == [0, 2], log
    assert "Traceback" not in log
    assert re.search("is in use by |holds results that were", log)
    assert contents(out) == whole[codes.index(0)]
    assert [*out.rglob(".dtg-*"), *out.rglob("*.lock")] == []


def test_a_folder_in_use_is_left_as_it_is(trained_maps, forks, tmp_path):
    out, errors = trained_maps.copy_out(tmp_path / "out"), tmp_path / "errors.txt"
    before = tree(out, but=())
    with DerivativeDataset(out).locks() as locks:
        assert locks.take("model-own") is None
        during = tree(out, but=())
        words = image_people.arguments(
            trained_maps.inputs, out, "train", *trained_maps.train_words
        )
        assert forks.run(words, stderr=errors) == [2]
        assert tree(out, but=()) == during
    assert "group/model-own is in use by " in errors.read_text()
    assert "choose another --name" in errors.read_text()
    assert "Traceback" not in errors.read_text()
    assert tree(out, but=()) == before
