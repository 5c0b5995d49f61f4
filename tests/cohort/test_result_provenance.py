"""Options and data from which a result was made are recognised, data by their content."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from maps_bundle import write_tiny_bundle

from bids_dtg.cohort.result_folder import MODEL, ResultFolder
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.errors import SettingsError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.paths import PathNames
from bids_dtg.files.text import read_json, write_json, write_text
from bids_dtg.settings import Settings

LARGE = 3 * 2**20  # bytes: more than the ends that are read of compressed files


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    root.mkdir()
    content = np.random.default_rng(1).bytes(LARGE)
    (root / "plain.h5").write_bytes(content)
    (root / "bold.nii.gz").write_bytes(gzip.compress(content, 1))
    np.savez(root / "rest.npz", rest=np.frombuffer(content, np.uint8))
    (root / "table.tsv").write_text("onset\n1\n")
    return root


def folder(
    root: Path, base: ModelBundle | None = None, **options: object
) -> ResultFolder:
    """Return the folder of a model that is made of these data, which nothing refuses."""
    places = {
        "bids_dir": root,
        "output_dir": root.parent / "out",
        "analysis_level": "group",
    }
    settings = Settings.of(**places, analysis="train", **options)
    output = DerivativeDataset(root.parent / "out")
    result_folder = ResultFolder.for_model(
        settings, output, MODEL, None, ("bundle/",), PathNames().plus({})
    )
    return result_folder.with_provenance(sorted(root.iterdir()), root, base)


@pytest.fixture
def finished_folder(data: Path) -> ResultFolder:
    result_folder = folder(data)
    with result_folder.writing():
        write_text(result_folder.add("bundle/") / "model.json", "{}")
    return result_folder


def test_the_same_options_and_touched_data_are_the_same(data, finished_folder):
    for path in data.rglob("*"):
        os.utime(path, (1, 1))
    # The default, in a number.
    assert folder(data, device="cpu", epochs=100).path == finished_folder.path


def test_other_options_and_another_version_are_named(data, finished_folder):
    with pytest.raises(
        SettingsError, match=r"made with another --epochs, --seed\. To do"
    ):
        folder(data, epochs=3, seed=1)
    record = finished_folder.path / "made_with.json"
    write_json(record, read_json(record) | {"version of bids_dtg": "0.0.1"})
    with pytest.raises(SettingsError, match="made with another version of bids_dtg"):
        folder(data)


def test_another_model_of_the_same_name_is_named(data):
    first, second = (
        write_tiny_bundle(data.parent / f"{seed}" / "tiny", seed=seed)
        for seed in (0, 1)
    )
    other_folder = folder(data, first, model="tiny")
    with other_folder.writing():
        write_text(other_folder.add("bundle/") / "model.json", "{}")
    shutil.copytree(first.path, data.parent / "copy")
    assert (
        folder(data, first, model=str(data.parent / "copy")).path == other_folder.path
    )
    with pytest.raises(SettingsError, match="made with another --model"):
        folder(data, second, model="tiny")


@pytest.mark.parametrize("name", ["plain.h5", "bold.nii.gz", "rest.npz", "table.tsv"])
def test_one_changed_value_is_named(data, finished_folder, name):
    path = data / name
    content = bytearray(path.read_bytes())
    if name == "bold.nii.gz":
        content = bytearray(gzip.decompress(content))
    elif name == "rest.npz":
        content = bytearray(np.load(path)["rest"].tobytes())
    content[len(content) // 2] ^= 1
    if name == "rest.npz":
        np.savez(path, rest=np.frombuffer(content, np.uint8))
    else:
        path.write_bytes(
            gzip.compress(content, 1) if name == "bold.nii.gz" else content
        )
    os.utime(path, (1, 1))
    with pytest.raises(SettingsError, match=rf"made with another {name}\."):
        folder(data)


def test_new_and_lost_files_are_named(data, finished_folder):
    (data / "table.tsv").rename(data / "other.tsv")
    with pytest.raises(
        SettingsError, match=r"made with another other\.tsv, table\.tsv\."
    ):
        folder(data)
