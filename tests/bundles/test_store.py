"""Where bundles are: found in order, listed, and removed, all of theirs and nothing of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_bundle import move_program_folders, write_tiny_bundle

from bids_dtg.bundles.store import (
    find_bundle,
    installed_models,
    model_folders,
    model_of_output,
)
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.errors import BundleError


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Make two listed folders, an image folder and a cache; run in an empty folder."""
    move_program_folders(monkeypatch, tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    env = {
        "DTG_MODEL_DIR": os.pathsep.join([str(tmp_path / "first"), "", str(tmp_path / "second")]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    return tmp_path, env


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}", encoding="utf-8")
    return folder


def test_folders_come_in_order(world):
    root, env = world
    assert list(model_folders(env)) == [
        root / "first",
        root / "second",
        root / "image",
        root / "cache" / "bids_dtg" / "models",
        root / "package",
    ]


def test_earlier_folders_win(world):
    root, env = world
    places = [
        root / "here" / "m",
        root / "cache" / "bids_dtg" / "models" / "m",
        root / "image" / "m",
        root / "second" / "m",
        root / "first" / "m",
    ]
    for place in places:  # from the last to the first of the look-up
        put(place)
        assert find_bundle("m", env).resolve() == place
    used, *others = installed_models(env)
    assert used.path == root / "first" / "m"
    assert used.shadowed_by is None
    assert [model.shadowed_by for model in others] == [root / "first" / "m"] * 3


def test_a_model_of_the_output_is_found_by_name_where_none_is_installed(world):
    root, env = world
    own = put(root / "out" / "group" / "model-mine" / "bundle")
    assert model_of_output("mine", root / "out", env) == own
    assert model_of_output("yours", root / "out", env) is None
    assert model_of_output("./mine", root / "out", env) is None
    put(root / "first" / "mine")
    assert model_of_output("mine", root / "out", env) is None


def test_a_path_is_a_path(world):
    root, env = world
    put(root / "first" / "m")
    local = put(root / "here" / "m")
    assert find_bundle("./m", env).resolve() == local
    assert find_bundle(str(local), env) == local
    assert find_bundle(Path("m"), env).resolve() == local


def test_bundle_that_is_loaded_is_refused_in_words(tmp_path):
    bundle = write_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(TypeError, match="not by a ModelBundle; a bundle that is loaded can be"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["m" * 5000, "./" + "m" * 5000, "m\0", "./m\0"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(BundleError, match="no model"):
        find_bundle(name)


def test_model_dir_may_be_a_bundle_itself(world):
    root, _ = world
    bundle = put(root / "mine")
    assert find_bundle("mine", {"DTG_MODEL_DIR": str(bundle)}) == bundle


def test_cache_without_xdg_is_under_home_and_without_home_absent():
    folders = list(model_folders({"HOME": "/home/x", "XDG_CACHE_HOME": "relative"}))
    assert folders[1] == Path("/home/x/.cache/bids_dtg/models")
    assert len(model_folders({})) == 2


def test_unfinished_and_other_folders_are_no_models(world):
    root, env = world
    put(root / "first" / ".dtg-0-1-2.tmp")
    (root / "first" / "notes").mkdir()
    (root / "first" / "file.txt").write_text("", encoding="utf-8")
    put(root / "first" / "real")
    assert [model.name for model in installed_models(env)] == ["real"]


def test_unknown_name_says_where_it_looked_and_what_is_near(world):
    root, env = world
    put(root / "second" / "hcp-d")
    put(root / "image" / "other")
    with pytest.raises(BundleError, match="no model called 'hcp-dd'") as caught:
        find_bundle("hcp-dd", env)
    message = str(caught.value)
    for place in ("first", "second", "image", "cache"):
        assert str(root / place) in message
    assert "installed: hcp-d, other" in message
    assert "did you mean hcp-d?" in message
    with pytest.raises(BundleError, match="dtg-models fetch hcp-ya; without a network"):
        find_bundle("hcp-ya", env)
    assert "\n" not in message


def test_bad_paths_are_named(world):
    root, env = world
    with pytest.raises(BundleError, match=f"there is no {root}/absent"):
        find_bundle(f"{root}/absent", env)
    (root / "file").write_text("", encoding="utf-8")
    with pytest.raises(BundleError, match="file is a file"):
        find_bundle(f"{root}/file", env)
    (root / "empty").mkdir()
    with pytest.raises(BundleError, match=r"empty has no model\.json"):
        find_bundle(f"{root}/empty", env)
    with pytest.raises(BundleError, match="no model called ''"):
        find_bundle("", env)
