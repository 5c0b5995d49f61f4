from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from maps_bundle import tiny_network, write_tiny_bundle

from bids_dtg.bundles.bundle import move_folder
from bids_dtg.contrasts.bundle.bundle import BundleArrays, load_bundle, write_bundle
from bids_dtg.errors import BundleError, OutputError


@pytest.mark.slow
def test_same_bundle_again_is_left_alone(tmp_path):
    first = write_tiny_bundle(tmp_path / "tiny")
    before = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "tiny").iterdir()
    }
    again = write_tiny_bundle(tmp_path / "tiny")
    assert again.identity == first.identity
    after = {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "tiny").iterdir()
    }
    assert after == before


@pytest.mark.slow
def test_another_bundle_is_not_overwritten(tmp_path):
    first = write_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(BundleError, match="tiny exists and is not this bundle"):
        write_tiny_bundle(tmp_path / "tiny", seed=1)
    assert load_bundle(tmp_path / "tiny").identity == first.identity
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file cannot be written"):
        move_folder(first.path, tmp_path / "file")


@pytest.mark.slow
def test_scores_that_are_rounded_otherwise_are_of_the_same_bundle(tmp_path):
    first = write_tiny_bundle(tmp_path / "tiny", evaluation={"r": 0.0904})
    again = write_tiny_bundle(tmp_path / "tiny", evaluation={"r": 0.0903})
    assert again.identity == first.identity
    with pytest.raises(BundleError, match="tiny exists and is not this bundle"):
        write_tiny_bundle(
            tmp_path / "tiny", evaluation={"r": 0.0904}, description="another"
        )


@pytest.mark.slow
def test_damaged_bundle_is_not_taken_for_the_same(tmp_path):
    write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "tiny" / "mask.nii.gz").unlink()
    with pytest.raises(BundleError, match="tiny exists and is not this bundle"):
        write_tiny_bundle(tmp_path / "tiny")


def test_other_folders_and_files_are_not_touched(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(BundleError, match="results exists and is not this bundle"):
        write_tiny_bundle(tmp_path / "results")
    assert (tmp_path / "results" / "mine.txt").read_text(encoding="utf-8") == "keep"
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    for name in ("results/mine.txt", "link"):
        with pytest.raises(BundleError, match=f"{name} exists and is not this bundle"):
            write_tiny_bundle(tmp_path / name)


@pytest.mark.parametrize("writes", range(5))
def test_nothing_is_left_when_the_disk_is_full(tmp_path, monkeypatch, writes):
    writes_to_go = iter(range(writes))
    real = Path.write_bytes

    def fail_later(path, data):
        if next(writes_to_go, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail_later)
    with pytest.raises(
        OutputError, match=r"/tiny cannot be written: No space left.*free space"
    ):
        write_tiny_bundle(tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_bundle_that_cannot_be_loaded_gets_no_name(tmp_path):
    bundle = write_tiny_bundle(tmp_path / "good")
    maps = bundle.roi_maps.copy()
    maps[1, 0] = np.nan
    state = {k: v.numpy() for k, v in tiny_network().state_dict().items()}
    with pytest.raises(BundleError, match=f"{tmp_path}/bad/maps.nii.gz: ROI map 1"):
        write_bundle(
            tmp_path / "bad",
            bundle.card,
            BundleArrays(state, maps, bundle.brain, bundle.places),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
