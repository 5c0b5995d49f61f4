"""Where bundles are: found in order, and listed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from maps_bundle import move_program_folders

from bids_dtg.bundles.store import (
    find_bundle,
    installed_models,
    model_folders,
    model_of_output,
)
from bids_dtg.errors import BundleError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Make two listed folders, an image folder and a cache; run in an empty folder."""
    move_program_folders(monkeypatch, tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    listed = os.pathsep.join([str(tmp_path / "first"), "", str(tmp_path / "second")])
    monkeypatch.setenv("DTG_MODEL_DIR", listed)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}", encoding="utf-8")
    return folder


def test_earlier_folders_win(root):
    folders = [*model_folders()]
    below = ("first", "second", "image", "cache/bids_dtg/models", "package")
    assert folders == [root / name for name in below]
    assert find_bundle(put(root / "here" / "m").name) == Path("m")
    for folder in folders[-2::-1]:  # from the last to the first of the look-up
        put(folder / "m")
        with pytest.warns(
            UserWarning, match=f"m is {folder}/m, not {root}/here/m, which is ./m"
        ):
            assert find_bundle("m") == folder / "m"
    assert installed_models() == [folder / "m" for folder in folders[:-1]]


def test_a_model_of_the_output_is_found_by_name_where_none_is_installed(root):
    folder = put(root / "out" / "group" / "model-mine" / "bundle")
    assert model_of_output("mine", root / "out") == folder
    assert model_of_output("yours", root / "out") is None
    assert model_of_output("./mine", root / "out") is None
    put(root / "first" / "mine")
    with pytest.warns(UserWarning, match=f"mine is {root}/first/mine, not {folder}"):
        assert model_of_output("mine", root / "out") is None


def test_a_path_is_a_path(root):
    put(root / "first" / "m")
    local = put(root / "here" / "m")
    for path in ("./m", str(local), Path("m")):
        assert find_bundle(path).resolve() == local


@pytest.mark.parametrize("name", ["m" * 5000, "./" + "m" * 5000, "m\0", "./m\0"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(BundleError, match="no model"):
        find_bundle(name)


def test_model_dir_may_be_a_bundle_itself_and_unfinished_and_other_folders_are_none(
    root, monkeypatch
):
    put(root / "first" / ".dtg-0-1-2.tmp")
    (root / "first" / "notes").mkdir()
    (root / "first" / "file.txt").write_text("", encoding="utf-8")
    real = put(root / "first" / "real")
    assert installed_models() == [real]
    monkeypatch.setenv("DTG_MODEL_DIR", str(put(root / "mine")))
    assert find_bundle("mine") == root / "mine"


def test_cache_without_xdg_is_under_home(root, monkeypatch):
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert [*model_folders()][3] == Path("/home/x/.cache/bids_dtg/models")


def test_unknown_name_says_where_it_looked_and_what_is_near(root):
    put(root / "second" / "hcp-d")
    put(root / "image" / "other")
    with pytest.raises(BundleError, match="no model called 'hcp-dd'") as caught:
        find_bundle("hcp-dd")
    message = str(caught.value)
    assert all(
        str(root / place) in message for place in ("first", "second", "image", "cache")
    )
    assert "installed: hcp-d, other" in message
    assert "did you mean hcp-d?" in message
    assert "\n" not in message
    with pytest.raises(BundleError, match="dtg-models fetch hcp-ya; without a network"):
        find_bundle("hcp-ya")
    with pytest.raises(BundleError, match="no model called ''"):
        find_bundle("")


def test_paths_without_a_bundle_are_named(root):
    with pytest.raises(BundleError, match=f"there is no {root}/absent/model.json"):
        find_bundle(f"{root}/absent")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(BundleError, match=f"cannot be read: {root}/loop .Too many"):
        find_bundle(f"{root}/loop")
