"""Removing bundles: all of theirs, nothing of others."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle

from bids_dtg.bundles import store
from bids_dtg.bundles import store as removal
from bids_dtg.bundles.store import remove_bundle
from bids_dtg.errors import BundleError, OutputError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the user's cache, the only folder that is looked in."""
    for place in ("IMAGE_FOLDER", "PACKAGE_FOLDER"):
        for module in (store, removal):
            monkeypatch.setattr(module, place, tmp_path / place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DTG_MODEL_DIR", raising=False)
    return tmp_path / "cache" / "bids_dtg" / "models"


def test_a_bundle_goes_and_its_neighbours_stay(cache):
    write_tiny_bundle(cache / "one")
    write_tiny_bundle(cache / "two")
    assert remove_bundle("one") == cache / "one"
    assert [path.name for path in cache.iterdir()] == ["two"]
    with pytest.raises(BundleError, match="no model called 'one'"):
        remove_bundle("one")


def test_a_folder_may_be_named(cache, tmp_path):
    write_tiny_bundle(tmp_path / "mine")
    remove_bundle(str(tmp_path / "mine"))
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff"])
def test_a_damaged_bundle_goes_too(cache, content):
    write_tiny_bundle(cache / "hcp-ya")
    card = cache / "hcp-ya" / "model.json"
    card.unlink() if content is None else card.write_bytes(content)
    remove_bundle("hcp-ya")
    assert not (cache / "hcp-ya").exists()


def test_what_is_not_the_bundles_is_kept(cache):
    write_tiny_bundle(cache / "one")
    (cache / "one" / "thesis.docx").write_text("years", encoding="utf-8")
    with pytest.raises(BundleError, match=r"one holds thesis\.docx, which is not the bundle's"):
        remove_bundle("one")
    assert len(list((cache / "one").iterdir())) == 6


def test_a_link_goes_and_its_target_stays(cache, tmp_path):
    write_tiny_bundle(tmp_path / "shared")
    cache.mkdir(parents=True)
    (cache / "one").symlink_to(tmp_path / "shared")
    remove_bundle("one")
    assert list(cache.iterdir()) == []
    assert len(list((tmp_path / "shared").iterdir())) == 5


@pytest.mark.parametrize("place", ["IMAGE_FOLDER", "PACKAGE_FOLDER"])
def test_parts_of_the_program_stay(cache, tmp_path, place):
    write_tiny_bundle(tmp_path / place / "demo")
    with pytest.raises(BundleError, match="demo is a part of the program"):
        remove_bundle("demo")
    assert (tmp_path / place / "demo").is_dir()


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_no_folder_goes_that_is_no_bundle(cache, name):
    write_tiny_bundle(cache / "one")
    with pytest.raises(BundleError):
        remove_bundle(name)
    assert (cache / "one" / "model.json").is_file()


def test_an_archive_is_not_removed(cache, tmp_path):
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(BundleError, match=r"x\.tar is a file"):
        remove_bundle(str(tmp_path / "x.tar"))


def test_a_folder_that_cannot_be_changed_is_told(cache, monkeypatch):
    write_tiny_bundle(cache / "one")

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="one cannot be removed: Read-only file system"):
        remove_bundle("one")
