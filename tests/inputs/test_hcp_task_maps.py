"""Task maps in HCP's folders, laid out as its public scripts write them."""

from __future__ import annotations

import numpy as np
import pytest
from study_folders import add_hcp_run, add_hcp_task

from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import DatasetError
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import group_maps, name_targets, plain_contrast

TASKS = {plain_contrast(row.label): plain_contrast(row.task) for row in hcp_contrasts()}
NAMES = ("MATH", "MATH-STORY")


def estimates(seed: int, names=NAMES) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    made = {}
    for name in names:
        cope, varcope = rng.normal(size=(3, 3, 3)), rng.random((3, 3, 3)) + 0.5
        made[name] = {"cope": cope, "varcope": varcope, "zstat": cope / np.sqrt(varcope)}
    return made


def found(root):
    files, _ = name_targets(find_statmap_files(root).files, TASKS)
    return {plain_contrast(one.contrast): one for one in group_maps(files)}


def volume(path):
    return read_volume(path)[0]


def test_runs_without_level_2_are_combined_by_fixed_effects(tmp_path):
    """The z of flameo's fixed effects: the weighted mean over its standard error."""
    runs = [estimates(1), estimates(2)]
    for direction, maps in zip(("LR", "RL"), runs, strict=True):
        add_hcp_task(tmp_path, f"tfMRI_LANGUAGE_{direction}_hp200_s4_level1_MSMAll", maps)
    made = found(tmp_path)
    assert list(made) == ["languagemath", "languagemathvsstory"]
    for one, name in zip(made.values(), NAMES, strict=True):
        assert (one.participant, one.level, one.runs) == ("100307", "run", 2)
        assert (one.space, one.combination("z")) == ("MNI152NLin6Asym", "inverse variance")
        weights = [1 / run[name]["varcope"] for run in runs]
        mean = sum(w * run[name]["cope"] for w, run in zip(weights, runs, strict=True))
        expected = mean / np.sqrt(sum(weights))
        np.testing.assert_allclose(read_measured(one, "z", volume), expected, atol=1e-5)


def test_level_2_is_taken_before_the_runs(tmp_path):
    for direction in ("LR", "RL"):
        add_hcp_task(tmp_path, f"tfMRI_LANGUAGE_{direction}_hp200_s4_level1", estimates(1))
    own = estimates(3)
    add_hcp_task(tmp_path, "tfMRI_LANGUAGE_hp200_s4_level2vol", own)
    one = found(tmp_path)["languagemath"]
    assert (one.level, one.runs, one.combination("z")) == ("subject", 2, "file")
    np.testing.assert_allclose(read_measured(one, "z", volume), own["MATH"]["zstat"], atol=1e-6)


def test_all_of_hcps_contrasts_are_known_by_their_names(tmp_path):
    for task in dict.fromkeys(row.task for row in hcp_contrasts()):
        names = [row.name for row in hcp_contrasts() if row.task == task]
        maps = {name: {"cope": np.ones((1, 1, 1))} for name in names}
        add_hcp_task(tmp_path, f"tfMRI_{task}_LR_hp200_s2_level1", maps)
    assert found(tmp_path).keys() == TASKS.keys()


def test_a_single_run_and_a_contrast_without_events(tmp_path):
    maps = estimates(1)
    folder = add_hcp_task(tmp_path, "tfMRI_EMOTION_PA_hp200_s4_level1", maps, folder="HCD01_V1_MR")
    for path in (folder / "StandardVolumeStats").glob("*2.nii.gz"):
        path.unlink()
    (one,) = group_maps(find_statmap_files(tmp_path).files)
    assert (one.participant, one.session, one.runs) == ("HCD01", "V1", 1)
    assert one.combination("z") == "file"


def test_what_is_ambiguous_or_missing_is_one_line(tmp_path):
    add_hcp_run(tmp_path, bold=np.zeros((3, 3, 3, 4), np.float32))
    with pytest.raises(DatasetError, match=r"has HCP folders, and none with .*level2\*.feat or"):
        find_statmap_files(tmp_path)
    folder = add_hcp_task(tmp_path, "tfMRI_WM_LR_hp200_s4_level1", estimates(1))
    add_hcp_task(tmp_path, "tfMRI_WM_LR_hp200_s2_level1", estimates(1))
    words = r"two effect maps of MATH that differ by smoothing \(s2, s4\): .*-d statmaps=maps\.toml"
    with pytest.raises(DatasetError, match=words):
        group_maps(find_statmap_files(tmp_path).files)
    (folder / "design.con").unlink()
    with pytest.raises(DatasetError, match=r"_hp200_s4_level1.feat has no design.con, which names"):
        find_statmap_files(tmp_path)
