"""Data that a model was made of are known again by their content, whatever their times."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

from bids_dtg.cohort.basis import BUNDLE, OwnModel
from bids_dtg.errors import SettingsError
from bids_dtg.settings import Settings

LARGE = 3 * 2**20  # bytes: more than the ends that are read of compressed files


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "bids"
    root.mkdir()
    rng = np.random.default_rng(1)
    content = rng.bytes(LARGE)
    (root / "plain.h5").write_bytes(content)
    (root / "bold.nii.gz").write_bytes(gzip.compress(content, 1))
    np.savez(root / "rest.npz", rest=np.frombuffer(content, np.uint8))
    (root / "table.tsv").write_text("onset\n1\n")
    return root


def model_of(root):
    settings = Settings.of(
        bids_dir=root, output_dir=root.parent, analysis_level="group", analysis="train"
    )
    return OwnModel(settings, data={path.name: path for path in root.iterdir()})


def made(root):
    """Return the folder of a model that was made of these data."""
    folder = root.parent / "model"
    model_of(root).write(folder)
    (folder / BUNDLE).mkdir()
    return folder


def test_untouched_and_touched_data_are_the_same(data):
    folder = made(data)
    model_of(data).refuse_others(folder)
    for path in data.rglob("*"):
        os.utime(path, (1, 1))
    model_of(data).refuse_others(folder)


@pytest.mark.parametrize("name", ["plain.h5", "bold.nii.gz", "rest.npz", "table.tsv"])
def test_one_changed_value_is_named(data, name):
    folder = made(data)
    path = data / name
    if name == "bold.nii.gz":
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[LARGE // 2] ^= 1
        path.write_bytes(gzip.compress(bytes(content), 1))
    elif name == "rest.npz":
        values = np.load(path)["rest"].copy()
        values[LARGE // 2] ^= 1
        np.savez(path, rest=values)
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    os.utime(path, (1, 1))
    with pytest.raises(SettingsError, match=rf"other data \({name} has changed\)"):
        model_of(data).refuse_others(folder)


def test_new_and_lost_files_are_named(data):
    folder = made(data)
    (data / "table.tsv").rename(data / "other.tsv")
    with pytest.raises(SettingsError, match=r"other.tsv is new, table.tsv is not there"):
        model_of(data).refuse_others(folder)
