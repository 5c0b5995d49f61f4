"""Where measured maps are looked for: what is passed over there, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from study_folders import add_hcp_run, add_hcp_task

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import StatMap, group_maps, name_targets, plain_contrast

MAP = "sub-01_contrast-a_stat-z_statmap.nii.gz"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def patterns(folder: Path, text: str) -> Path:
    path = folder / "maps.toml"
    path.write_text(f"[[maps]]\n{text}\n")
    return path


def test_a_place_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"gone does not exist\. Expected: a folder of"):
        find_statmap_files(tmp_path / "gone")


def test_files_of_other_names_are_passed_over_and_alone_they_are_refused(tmp_path):
    touch(tmp_path, MAP.replace("statmap", "mask"), "read-me.nii.gz")
    with pytest.raises(DatasetError, match="no statistic maps that are known by their names"):
        find_statmap_files(tmp_path)
    touch(tmp_path, MAP)
    assert [file.path.name for file in find_statmap_files(tmp_path).files] == [MAP]


def test_maps_of_ours_that_fit_a_pattern_are_not_taken_for_measured_ones(tmp_path):
    names = [f"01/sub-01_desc-{desc}_statmap.nii.gz" for desc in ("measured", "synthetic")]
    touch(tmp_path, *names)
    path = "{sub}/sub-01_desc-{contrast}_statmap.nii.gz"
    found = find_statmap_files(patterns(tmp_path, f'path = "{path}"\nstatistic = "z"'))
    assert [file.contrast for file in found.files] == ["measured"]
    assert found.predicted == 1


PATH = 'path = "{sub}_{contrast}.nii"\nstatistic = "z"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("path = [", r"maps\.toml"),
        (f"{PATH}contrasts = {{1 = 2}}", r"has 2, no text\. Expected: path with"),
        (f"{PATH}contrasts = 3", r"has 3, no text\. Expected"),
        (f"{PATH}space = 3", r"has 3, no text\. Expected"),
        (
            'path = "{sub}_{task}.nii"\nstatistic = "z"\ncontrast = "a"\ntask = "b"',
            r"names its task twice\. Expected",
        ),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_told_in_one_line(tmp_path, text, line):
    touch(tmp_path, "01_a.nii")
    with pytest.raises(DatasetError, match=line) as caught:
        find_statmap_files(patterns(tmp_path, text))
    assert "\n" not in str(caught.value)


# --- HCP's folders, as its public scripts write them


TASKS = {plain_contrast(row.label): plain_contrast(row.task) for row in hcp_contrasts()}


def in_hcp(root: Path) -> dict[str, StatMap]:
    files, _ = name_targets(find_statmap_files(root).files, TASKS)
    return {plain_contrast(one.contrast): one for one in group_maps(files)}


def test_all_of_hcps_contrasts_are_known_by_their_names(tmp_path):
    for task in dict.fromkeys(row.task for row in hcp_contrasts()):
        names = [row.name for row in hcp_contrasts() if row.task == task]
        maps = {name: {"cope": np.ones((1, 1, 1)), "zstat": np.ones((1, 1, 1))} for name in names}
        add_hcp_task(tmp_path, f"tfMRI_{task}_hp200_s2_level2vol", maps)
    found = in_hcp(tmp_path)
    assert found.keys() == TASKS.keys()
    one = found["languagemath"]
    assert (one.participant, one.level, one.space) == ("100307", "subject", "MNI152NLin6Asym")
    assert one.files["z"].parts[-2:] == ("cope1.feat", "zstat1.nii.gz")


def test_a_contrast_without_events_has_no_map(tmp_path):
    maps = {name: {"cope": np.ones((1, 1, 1))} for name in ("FACES", "SHAPES")}
    name = "tfMRI_EMOTION_hp200_s4_level2"
    folder = add_hcp_task(tmp_path, name, maps, folder="HCD01_V1_MR")
    shutil.rmtree(folder / "StandardVolumeStats/cope2.feat")
    (one,) = group_maps(find_statmap_files(tmp_path).files)
    assert (one.participant, one.session, list(one.files)) == ("HCD01", "V1", ["effect"])


def test_what_is_ambiguous_or_missing_in_hcps_folders_is_one_line(tmp_path):
    add_hcp_run(tmp_path, bold=np.zeros((3, 3, 3, 4), np.float32))
    with pytest.raises(DatasetError, match=r"has no statistic maps.*level2\*.feat with"):
        find_statmap_files(tmp_path)
    maps = {"FACES": {"cope": np.ones((1, 1, 1))}}
    folder = add_hcp_task(tmp_path, "tfMRI_EMOTION_hp200_s4_level2", maps)
    add_hcp_task(tmp_path, "tfMRI_EMOTION_hp200_s2_level2", maps)
    with pytest.raises(DatasetError, match=r"two effect maps of FACES: .*_s2_.*_s4_"):
        group_maps(find_statmap_files(tmp_path).files)
    (folder / "Contrasts.txt").unlink()
    with pytest.raises(DatasetError, match=r"_hp200_s4_level2.feat/Contrasts.txt .*No such file"):
        find_statmap_files(tmp_path)
