from __future__ import annotations

from pathlib import Path

import pytest

from bids_dtg.errors import DatasetError
from bids_dtg.inputs.statmaps import (
    StatMap,
    choose_sessions,
    describe_sessions,
    find_statmaps,
    plain_contrast,
    session_order,
    statmaps_place,
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_fitlins_and_nilearn_names_are_read_and_one_statistic_is_kept(tmp_path):
    stem = "sub-01/sub-01_task-wm_contrast-wm2bk"
    touch(
        tmp_path,
        f"{stem}_stat-effect_statmap.nii.gz",
        f"{stem}_stat-t_statmap.nii.gz",
        f"{stem}_stat-variance_statmap.nii.gz",
        f"{stem}_stat-p_statmap.nii.gz",
        "sub-02/ses-a/sub-02_ses-a_contrast-wm2bk_stat-z_statmap.nii",
        "group/contrast-wm2bk_stat-z_statmap.nii.gz",
    )
    first, second = find_statmaps(tmp_path)
    assert (first.participant, first.session, first.statistic) == ("01", None, "t")
    assert (second.participant, second.session, second.statistic) == ("02", "a", "z")


def test_runs_of_a_session_are_one_map(tmp_path):
    names = [f"sub-01/sub-01_run-{n}_contrast-a_stat-z_statmap.nii.gz" for n in (1, 2)]
    touch(tmp_path, *names)
    (one,) = find_statmaps(tmp_path)
    assert [path.name for path in one.files] == [Path(name).name for name in names]


@pytest.mark.parametrize("desc", ["synthetic", "segmentSpread", "halfwidth90"])
def test_predicted_maps_are_never_taken_for_measured_ones(tmp_path, desc):
    touch(tmp_path, f"sub-01/sub-01_contrast-a_stat-z_desc-{desc}_statmap.nii.gz")
    with pytest.raises(DatasetError, match="no statistic maps"):
        find_statmaps(tmp_path)


def test_a_pattern_file_finds_feat_folders(tmp_path):
    feat = "LANGUAGE/cope{}.feat/stats/zstat1.nii.gz"
    touch(tmp_path, *(f"{who}/{feat.format(n)}" for who in ("100307", "sub-2") for n in (1, 4, 9)))
    pattern = tmp_path / "maps.toml"
    pattern.write_text(
        "[[maps]]\n"
        f'path = "{{sub}}/{feat.format("{contrast}")}"\n'
        'statistic = "z"\n'
        'contrasts = {1 = "languageMath", 4 = "languageStory"}\n'
    )
    found = [(one.participant, one.contrast) for one in find_statmaps(pattern)]
    assert found == [
        (who, label) for who in ("100307", "2") for label in ("languageMath", "languageStory")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maps = 3", "no list of patterns"),
        ('[[maps]]\npath = "x.nii"\nstatistic = "z"\ncontrast = "a"', "{sub}"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "beta"\ncontrast = "a"', "one of z, t"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "z"', "its contrast"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "z"\ncolour = "a"', "colour"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "z"\ncontrast = "a"', "fits the pattern"),
    ],
)
def test_a_wrong_pattern_is_told_in_one_line(tmp_path, text, message):
    path = tmp_path / "maps.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        find_statmaps(path)


def test_an_analyze_pair_is_one_map(tmp_path):
    touch(tmp_path, "a/con_0001.hdr", "a/con_0001.img")
    pattern = tmp_path / "maps.toml"
    pattern.write_text(
        '[[maps]]\npath = "{sub}/con_0001.hdr"\nstatistic = "effect"\ncontrast = "x"'
    )
    (one,) = find_statmaps(pattern)
    assert one.files == (tmp_path / "a/con_0001.hdr",)


def test_statmaps_are_taken_out_of_the_derivatives(tmp_path):
    place, others = statmaps_place((f"statmaps={tmp_path}", "fmriprep=/x"))
    assert (place, others) == (tmp_path, ("fmriprep=/x",))
    with pytest.raises(DatasetError, match="names 2 folders"):
        statmaps_place(("statmaps=/a", "statmaps=/b"))


def test_labels_that_differ_by_signs_are_the_same():
    assert plain_contrast("LANGUAGE_MATH-STORY") == plain_contrast("languageMathStory")


def test_a_pattern_that_fits_nothing_is_named_even_beside_one_that_fits(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/01.nii.gz").touch()
    table = '[[maps]]\npath = "{}/{{sub}}.nii.gz"\nstatistic = "z"\ncontrast = "c"\n'
    place = tmp_path / "maps.toml"
    place.write_text(table.format("a"))
    assert len(find_statmaps(place)) == 1
    place.write_text(table.format("a") + table.format("b"))
    with pytest.raises(DatasetError, match=r"no file below .* fits the pattern 'b/\{sub\}"):
        find_statmaps(place)


# --- sessions


def a_map(session: str | None, contrast: str = "faces") -> StatMap:
    return StatMap("01", session, contrast, "z", None, (Path(f"{session}_{contrast}"),))


@pytest.mark.parametrize(
    "ordered",
    [
        ("test", "retest"),
        ("01", "02", "10"),
        ("2", "10"),
        ("baseline", "followup"),
        ("pre", "post"),
        ("scan", "rescan"),
        ("wave1", "wave1repeat"),
    ],
)
def test_sessions_are_in_the_order_in_which_they_happen(ordered):
    assert tuple(sorted(ordered, key=session_order)) == ordered
    found = choose_sessions(a_map(session) for session in reversed(ordered))
    assert (found.target["faces"].session, found.retest["faces"].session) == ordered[:2]


def test_a_session_that_is_asked_for_comes_first():
    maps = [a_map("test"), a_map("retest"), a_map("pilot")]
    found = choose_sessions(maps, ("retest", "test"))
    assert (found.target["faces"].session, found.retest["faces"].session) == ("retest", "test")
    # Who lacks it has the others.
    assert choose_sessions(maps, ("more",)).target["faces"].session == "pilot"


def test_contrasts_of_other_sessions_are_targets_too():
    maps = [a_map("1"), a_map("2", "words"), a_map("3", "Words")]
    found = choose_sessions(maps)
    assert {key: one.session for key, one in found.target.items()} == {"faces": "1", "words": "2"}
    assert {key: one.session for key, one in found.retest.items()} == {"words": "3"}
    assert not found.retested


def test_what_is_of_no_session_is_of_all_and_has_no_retest():
    found = choose_sessions([a_map("1"), a_map(None), a_map("2")])
    assert found.target["faces"].session is None
    assert not found.retest


def test_it_is_said_which_session_is_which():
    both = choose_sessions([a_map("retest"), a_map("test")])
    one = choose_sessions([a_map("test")])
    assert describe_sessions([both, one]) == (
        "Maps to predict are of ses-test (2 participants); "
        "retests are of ses-retest (1 participant)."
    )
    assert describe_sessions([one]).endswith("there are no retests.")
    assert describe_sessions([choose_sessions([a_map(None)])]) == ""
