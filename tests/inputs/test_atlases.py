"""Atlases by name and by file: what is found, what space it is in, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.atlases import (
    FOLDER,
    KNOWN,
    AtlasFile,
    atlas_datasets,
    atlas_key,
    find_atlas_files,
)
from bids_dtg.inputs.templateflow import TemplateFlow

SPACE = "MNI152NLin6Asym"


def _find(name, home: Path | None = None, *datasets: Path) -> AtlasFile:
    (file,) = find_atlas_files([name], SPACE, TemplateFlow(home), datasets)
    return file


def _image(path: Path, labels=(1, 2)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = np.resize(np.array(labels, np.int16), (3, 4, 5))
    nib.save(nib.Nifti1Image(volume, np.diag([2.0, 2, 2, 1])), path)
    return path


def test_what_ships_has_names_terms_and_a_notice():
    first, second = find_atlas_files(["SCHAEFER400", "hcp"], SPACE, TemplateFlow(None))
    assert (len(first.names), len(second.names)) == (400, 19)
    assert first.names[400] == "7Networks_RH_Default_PCC_9"
    assert first.facts["License"] == "MIT"
    assert "Schaefer" in first.facts["ReferencesAndLinks"][0]
    assert all(file.image.is_file() for file in (first, second))
    notice = (FOLDER / "NOTICE").read_text()
    for file in (first, second):
        assert f"atlas-{atlas_key(file.entities)}" in notice


def test_the_table_of_names_is_of_templateflows_files():
    assert (
        len({atlas_key(atlas.entities) for atlas in KNOWN.values()}) == len(KNOWN) == 25
    )
    entry = KNOWN["Schaefer100x17"]
    assert dict(entry.entities) == {
        "atlas": "Schaefer2018",
        "seg": "17n",
        "scale": "100",
    }
    assert entry.pinned.name.endswith("_desc-100Parcels17Networks_dseg.nii.gz")


def test_none_is_no_atlas():
    assert find_atlas_files(["none"], SPACE, TemplateFlow(None)) == ()


def test_a_file_without_a_space_is_refused_with_what_to_do(tmp_path):
    path = _image(tmp_path / "mine.nii.gz")
    expected = r"the space of .*mine\.nii\.gz is not stated.*SpatialReference.*space-MNI152NLin6"
    with pytest.raises(SettingsError, match=expected):
        _find(path)


@pytest.mark.parametrize(
    "reference",
    [
        SPACE,
        "MNI152NLin6ASym",
        "https://templateflow.s3.amazonaws.com/tpl-MNI152NLin6Asym_res-02_T1w.nii.gz",
        {"VolumeReference": "bids:templateflow:tpl-MNI152NLin6Asym/x.nii.gz"},
    ],
)
def test_a_sidecar_states_the_space(tmp_path, reference):
    path = _image(tmp_path / "mine.nii.gz")
    path.with_name("mine.json").write_text(json.dumps({"SpatialReference": reference}))
    assert dict(_find(path).entities) == {"atlas": "mine"}


def test_an_atlas_in_another_space_needs_a_transform(tmp_path):
    path = _image(tmp_path / "atlas-A_space-MNI152NLin2009cAsym_dseg.nii.gz")
    remedy = r"Expected: an atlas in MNI152NLin6Asym.*curl -fL .*2009cAsym_mode-image_xfm\.h5"
    with pytest.raises(SettingsError, match=remedy):
        _find(path, tmp_path / "home")
    name = f"tpl-{SPACE}/tpl-{SPACE}_from-MNI152NLin2009cAsym_mode-image_xfm.h5"
    transform = tmp_path / "home" / name
    transform.parent.mkdir(parents=True)
    transform.write_bytes(b"content")
    atlas_file = _find(path, tmp_path / "home")
    assert [used.path for used in atlas_file.transforms] == [transform]
    mine = _image(tmp_path / "atlas-A_space-MyTemplate_dseg.nii.gz")
    with pytest.raises(SettingsError, match=r"is in MyTemplate, but .* is missing"):
        _find(mine, tmp_path / "home")


def test_a_file_of_templateflow_must_lie_there_with_content(tmp_path):
    with pytest.raises(SettingsError, match=r"Schaefer100: .* is missing.*curl -fL"):
        _find("Schaefer100", tmp_path)
    path = tmp_path / KNOWN["Schaefer100"].pinned.location
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(
        SettingsError, match=r"Schaefer100: .*100Parcels7Networks.* is missing or empty"
    ):
        _find("Schaefer100", tmp_path)
    _image(path)
    path.with_name(
        path.name.replace("_res-02", "").replace(".nii.gz", ".tsv")
    ).write_text("index\tname\tcolor\n1\ta\t#1\n2\tb\t#2\n")
    atlas_file = _find("schaefer100", tmp_path)
    assert (atlas_file.names, atlas_file.image) == ({1: "a", 2: "b"}, path)


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(
        SettingsError, match=r"there is no atlas 'Brodmann'.*Schaefer400, .*regions"
    ):
        _find("Brodmann", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_two_atlases_of_one_name(tmp_path):
    path = _image(
        tmp_path / f"atlas-Schaefer2018_seg-7n_scale-400_space-{SPACE}_dseg.nii.gz"
    )
    with pytest.raises(
        SettingsError, match="two atlases Schaefer2018_seg-7n_scale-400"
    ):
        find_atlas_files(["Schaefer400", path], SPACE, TemplateFlow(None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\tname\n1\ta\n1\tb\n", "two rows have the same index"),
        ("number\tlabel\n1\tx\n", "it has no column index, only number, label"),
        (
            "index\tregion\n1\tx\n",
            "it has no column name, only index, region. .*name or label",
        ),
        ("index\tname\n1.5\tx\n", "the index '1.5' is no whole number"),
        ("index\tname\none\tx\n", "cannot be read"),
        ("index\tname\n1\ta\n2\n", "it is cut off"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    path = _image(tmp_path / f"atlas-A_space-{SPACE}_dseg.nii.gz")
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(text)
    with pytest.raises(SettingsError, match=rf"dseg\.tsv .*{message}"):
        _find(path)


def test_parcels_that_share_a_name_get_their_number(tmp_path):
    path = _image(tmp_path / f"atlas-A_space-{SPACE}_dseg.nii.gz")
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(
        "index\tname\n1\tInsula\n2\tInsula\n3\t\n"
    )
    assert _find(path).names == {1: "Insula 1", 2: "Insula 2", 3: "3"}


@pytest.mark.parametrize(
    "text",
    [
        "index\tlabel\n1\tone\n2\ttwo\n",  # XCP-D before 26, AtlasPack
        "index\tname\tlabel\n1.0\tone\tA\n2.0\ttwo\tB\n",
    ],
)
def test_tables_of_other_programs_are_read(tmp_path, text):
    path = _image(tmp_path / f"atlas-A_space-{SPACE}_dseg.nii.gz")
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(text)
    assert _find(path).names == {1: "one", 2: "two"}


def test_missing_and_no_files_are_named(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        _find(tmp_path / f"atlas-A_space-{SPACE}_dseg.nii.gz")
    with pytest.raises(SettingsError, match="it is a folder"):
        _find(f"{tmp_path}/")


@pytest.mark.parametrize("below", ["", "sourcedata/atlases/"])
def test_a_bids_data_set_of_atlases(tmp_path, below):
    """BIDS 1.11's own layout, and that of XCP-D's output."""
    root = tmp_path / below
    _image(root / f"tpl-{SPACE}/tpl-{SPACE}_atlas-Mine_scale-100_res-2_dseg.nii.gz")
    _image(
        root / f"tpl-{SPACE}/tpl-{SPACE}_atlas-Mine_scale-200_res-2_dseg.nii.gz", (1, 3)
    )
    _image(
        root / f"tpl-{SPACE}/tpl-{SPACE}_atlas-Mine_scale-200_res-1_dseg.nii.gz", (1, 3)
    )
    _image(
        root
        / "tpl-MNI152NLin2009cAsym/tpl-MNI152NLin2009cAsym_atlas-Mine_scale-200_dseg.nii"
    )
    (root / "atlas-Mine_scale-200_dseg.tsv").write_text(
        "index\tname\n1\tone\n3\tthree\n"
    )
    (root / "dataset_description.json").write_text(
        '{"Name": "x", "DatasetType": "atlas"}'
    )
    (folder,) = atlas_datasets([f"atlas={tmp_path}", "fmriprep=/nowhere"])
    atlas_file = _find("mine_scale-200", None, folder)
    assert (
        atlas_file.image.name == f"tpl-{SPACE}_atlas-Mine_scale-200_res-2_dseg.nii.gz"
    )
    assert atlas_file.names == {1: "one", 3: "three"}
    with pytest.raises(SettingsError, match="may be Mine_scale-100, Mine_scale-200"):
        _find("Mine", None, folder)


def test_two_files_of_one_atlas_are_refused_with_both_names(tmp_path):
    name = f"tpl-{SPACE}_atlas-Mine_res-2_dseg.nii"
    paths = [_image(tmp_path / place / name) for place in ("first", "second")]
    folders = atlas_datasets(f"atlas={path.parent}" for path in paths)
    with pytest.raises(
        SettingsError, match=f"Mine: two files may be .*{paths[0]} and {paths[1]}"
    ):
        _find("Mine", None, *folders)


def test_a_data_set_without_an_atlas_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"atlases=.* has no image of an atlas"):
        atlas_datasets([f"atlases={tmp_path}"])
