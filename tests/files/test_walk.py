"""Listing people's folders: what network drives keep in them is nobody's data."""

from __future__ import annotations

import pytest

from bids_dtg.files.walk import files_below, matching

# Synology, QNAP, NetApp, Apple, Windows and ext4.
DRIVES = [
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", ".@__thumb"),
    *(".snapshot", "~snapshot", ".AppleDouble", "__MACOSX", "Network Trash Folder"),
    *("$RECYCLE.BIN", "System Volume Information", "lost+found"),
]


@pytest.mark.parametrize("drive", DRIVES)
def test_folders_of_drives_are_not_entered(tmp_path, drive):
    root = tmp_path / drive / "data"  # the data themselves may be in a snapshot
    own = [root / "map.nii.gz", root / "a" / "map.nii.gz", root / "a@b" / "map.nii.gz"]
    for path in own:
        for place in (path, path.parent / drive / path.name, path.parent / drive / "a" / path.name):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    assert sorted(files_below(root)) == sorted(own)
    assert matching(root, "**/*.nii.gz") == sorted(own)
    assert matching(root, "*") == sorted([own[0], own[1].parent, own[2].parent])
    beside = [root / "a" / ".." / "map.nii.gz"]
    assert matching(root / "a", "../map.nii.gz") == beside
    assert matching(root / "a", f"../{drive}/*.nii.gz") == []


def test_files_that_begin_with_other_signs_are_listed(tmp_path):
    (tmp_path / "#1_zstat.nii.gz").touch()
    (tmp_path / "._1_zstat.nii.gz").touch()
    assert [path.name for path in files_below(tmp_path)] == ["#1_zstat.nii.gz"]


def test_links_in_circles_are_entered_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "map.nii.gz").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert list(files_below(tmp_path)) == [tmp_path / "a" / "map.nii.gz"]
