from __future__ import annotations

from pathlib import Path

import pytest

from bids_dtg.errors import DatasetError
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    StatFile,
    StatMap,
    choose_sessions,
    choose_statistic,
    describe_files,
    describe_sessions,
    group_maps,
    in_space,
    name_targets,
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


def find(place: Path) -> tuple[StatFile, ...]:
    return find_statmap_files(place).files


def chosen(files) -> tuple[str, str]:
    """Return the statistic of everybody's targets, and what is reported of runs."""
    by_person: dict[str, list[StatMap]] = {}
    for one in group_maps(files):
        by_person.setdefault(one.participant, []).append(one)
    return choose_statistic({who: choose_sessions(maps) for who, maps in by_person.items()})


NILEARN = ("effect", "variance", "t", "z", "p")


def test_names_of_nilearn_are_read_and_the_first_statistic_of_everybody_is_kept(tmp_path):
    stem = "sub-01/sub-01_task-wm_contrast-wm2bk"
    touch(
        tmp_path,
        *(f"{stem}_stat-{stat}_statmap.nii.gz" for stat in NILEARN if stat != "z"),
        "sub-02/ses-a/sub-02_ses-a_contrast-wm2bk_stat-z_statmap.nii",
        "sub-02/ses-a/sub-02_ses-a_contrast-wm2bk_stat-t_statmap.nii",
        "group/contrast-wm2bk_stat-z_statmap.nii.gz",
    )
    first, second = group_maps(find(tmp_path))
    assert (first.participant, first.session, first.task) == ("01", None, "wm")
    assert set(first.files) == {"t", "effect"}
    assert (second.participant, second.session, second.task) == ("02", "a", None)
    assert chosen(find(tmp_path)) == ("t", "")


def test_without_a_statistic_of_everybody_the_call_is_refused(tmp_path):
    touch(
        tmp_path,
        "sub-01_contrast-a_stat-t_statmap.nii.gz",
        "sub-02_contrast-a_stat-z_statmap.nii.gz",
    )
    with pytest.raises(DatasetError, match="are of t and z, and no statistic is everybody's"):
        chosen(find(tmp_path))


# --- levels, tasks, runs, spaces


def fitlins(root: Path, who: str = "01", runs=(1, 2), stats=("effect", "variance", "z")) -> Path:
    """Make a tree as FitLins writes it: a folder a node, and a file a run in that of runs."""
    for stat in stats:
        end = f"contrast-a_stat-{stat}_statmap.nii.gz"
        touch(
            root,
            *(f"node-runLevel/sub-{who}/sub-{who}_task-wm_run-{n}_{end}" for n in runs),
            f"node-subjectLevel/sub-{who}/sub-{who}_task-wm_{end}",
            f"node-datasetLevel/{end}",
        )
    return root


def test_of_the_levels_of_fitlins_only_the_highest_is_used_and_its_runs_are_counted(tmp_path):
    (one,) = group_maps(find(fitlins(tmp_path)))
    assert (one.level, one.runs) == ("subject", 2)
    path = one.files["z"]
    assert path.parts[-3:-1] == ("node-subjectLevel", "sub-01")


def test_a_map_over_sessions_stands_for_all_of_them(tmp_path):
    touch(
        tmp_path,
        *(f"node-runLevel/sub-01_ses-{n}_run-1_contrast-a_stat-z_statmap.nii" for n in "ab"),
        *(f"node-sessionLevel/sub-01_ses-{n}_contrast-a_stat-z_statmap.nii" for n in "ab"),
        "node-subjectLevel/sub-01_contrast-a_stat-z_statmap.nii",
    )
    (one,) = group_maps(find(tmp_path))
    assert (one.level, one.session, one.runs) == ("subject", None, 2)
    (tmp_path / "node-subjectLevel/sub-01_contrast-a_stat-z_statmap.nii").unlink()
    assert [(m.level, m.session, m.runs) for m in group_maps(find(tmp_path))] == [
        ("session", "a", 1),
        ("session", "b", 1),
    ]


def test_two_files_of_one_map_are_refused_and_never_averaged(tmp_path):
    touch(
        tmp_path,
        "sub-01_contrast-a_res-1_stat-z_statmap.nii.gz",
        "sub-01_contrast-a_res-2_stat-z_statmap.nii.gz",
    )
    with pytest.raises(
        DatasetError, match=r"two z maps of a: .*res-1.*res-2.*-d statmaps=maps\.toml"
    ):
        group_maps(find(tmp_path))


def test_maps_of_different_tasks_are_different_targets(tmp_path):
    touch(
        tmp_path,
        *(
            f"sub-01_task-{task}_contrast-cue_stat-z_statmap.nii.gz"
            for task in ("wm", "motor", "gambling")
        ),
        "sub-01_task-WM_contrast-2BK_stat-z_statmap.nii.gz",
    )
    files, told = name_targets(find(tmp_path), {"wm2bk": "wm", "cue": "motor"})
    assert {plain_contrast(file.contrast) for file in files} == {
        "gamblingcue",
        "cue",  # of the task that the known contrast belongs to
        "wmcue",
        "wm2bk",
    }
    assert len(group_maps(files)) == 4
    assert "cue is of 3 tasks, whose names are put before it" in told


def test_a_label_of_several_tasks_and_of_none_is_refused(tmp_path):
    touch(
        tmp_path,
        *(
            f"sub-0{n}_{task}contrast-a_stat-z_statmap.nii"
            for n, task in enumerate(("task-b_", ""))
        ),
        "sub-03_task-c_contrast-a_stat-z_statmap.nii",
    )
    with pytest.raises(DatasetError, match="contrast a name the tasks b, c, and others name none"):
        name_targets(find(tmp_path), {})


def counted_runs(root: Path, numbers: dict[str, int], stats=("z",)) -> tuple[StatFile, ...]:
    """Make people's maps beside those of so many runs, as FitLins does."""
    for who, runs in numbers.items():
        fitlins(root, who, range(1, runs + 1), stats)
    return find(root)


def test_several_runs_are_not_combined_here(tmp_path):
    end = "contrast-a_stat-z_statmap.nii.gz"
    touch(tmp_path, *(f"sub-01_run-{run}_{end}" for run in (1, 2)))
    with pytest.raises(DatasetError, match=r"run-1.*run-2.*To do: combine runs at the subject's"):
        group_maps(find(tmp_path))


def test_z_of_different_numbers_of_runs_are_refused(tmp_path):
    files = counted_runs(tmp_path, {"01": 2, "02": 1, "03": 2})
    with pytest.raises(DatasetError, match=r"a has 1 run of 1 participant \(02\), 2 runs of 2"):
        chosen(files)
    assert chosen(counted_runs(tmp_path / "alike", {"01": 2, "02": 2})) == ("z", "")


def test_effects_are_taken_where_people_have_different_numbers_of_runs(tmp_path):
    files = counted_runs(tmp_path, {"01": 3, "02": 2}, ("effect", "z"))
    statistic, told = chosen(files)
    assert statistic == "effect"
    assert "their scale does not depend on the number of runs (a has 2 runs of" in told


def test_a_run_and_an_unknown_number_of_runs_are_refused(tmp_path):
    """nilearn names the run of a model of one run, and no run of a model of several."""
    end = "contrast-a_stat-z_statmap.nii.gz"
    touch(tmp_path, f"sub-01_run-1_{end}", f"sub-02_{end}")
    with pytest.raises(DatasetError, match="an unknown number of runs of 1 participant"):
        chosen(find(tmp_path))


def test_a_space_that_is_not_named_is_reported(tmp_path):
    touch(tmp_path, "sub-01_contrast-a_stat-z_statmap.nii.gz")
    files, told = in_space(find(tmp_path), "MNI152NLin6Asym")
    assert len(files) == 1
    assert "1 file of measured maps name no space and are taken as MNI152NLin6Asym" in told


@pytest.mark.parametrize(
    ("sidecar", "content"),
    [
        ("sub-01_contrast-a_stat-z_statmap", '{"SpatialReference": "https://x/tpl-Other/T1w.nii"}'),
        ("sub-01_contrast-a_statmap", '{"Space": "Other"}'),
        ("statmap", '{"SpatialReference": "Other"}'),
    ],
)
def test_a_sidecar_names_the_space(tmp_path, sidecar, content):
    touch(tmp_path, "sub-01_contrast-a_stat-z_statmap.nii.gz")
    (tmp_path / f"{sidecar}.json").write_text(content)
    assert in_space(find(tmp_path), "Other")[1] == ""
    with pytest.raises(DatasetError, match=r"maps are in Other\. Expected: MNI152NLin6Asym"):
        in_space(find(tmp_path), "MNI152NLin6Asym")


def test_what_names_the_space_comes_before_what_names_none(tmp_path):
    touch(
        tmp_path,
        "sub-01_contrast-a_stat-z_statmap.nii.gz",
        "sub-01_space-Own_contrast-a_stat-z_statmap.nii.gz",
        "sub-01_space-Other_contrast-a_stat-z_statmap.nii.gz",
    )
    (file,), told = in_space(find(tmp_path), "Own")
    assert file.space == "Own"
    assert told == "files in other spaces are not used: Other (1)"


def test_a_pattern_states_space_task_and_runs(tmp_path):
    touch(tmp_path, *(f"{who}/run1/z.nii" for who in "ab"))
    place = tmp_path / "maps.toml"
    place.write_text(
        '[[maps]]\npath = "{sub}/run{run}/z.nii"\nstatistic = "z"\ncontrast = "c"\n'
        'space = "MNI152NLin6Asym"\ntask = "wm"\n'
    )
    one, _ = group_maps(find(place))
    assert (one.space, one.task, one.runs) == ("MNI152NLin6Asym", "wm", 1)
    people = {m.participant: PersonMaps({"c": m}, {}) for m in group_maps(find(place))}
    assert describe_files(tuple(people.values()), "z") == (
        "2 z maps of 2 participants, as z.nii",
        "level: run; runs in a map: 1; task: wm",
    )


@pytest.mark.parametrize("desc", ["synthetic", "halfwidth"])
def test_predicted_maps_are_never_taken_for_measured_ones(tmp_path, desc):
    touch(tmp_path, f"sub-01/sub-01_contrast-a_stat-z_desc-{desc}_statmap.nii.gz")
    with pytest.raises(DatasetError, match=r"1 maps that bids_dtg predicted.* are predictions"):
        find(tmp_path)
    touch(tmp_path, "sub-01/sub-01_contrast-a_stat-z_statmap.nii.gz")
    found = find_statmap_files(tmp_path)
    assert (len(found.files), found.predicted) == (1, 1)


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
    found = [(one.participant, one.contrast) for one in find(pattern)]
    assert found == [
        (who, label) for who in ("100307", "2") for label in ("languageMath", "languageStory")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maps = 3", "no list of patterns"),
        ('[[maps]]\npath = "x.nii"\nstatistic = "z"\ncontrast = "a"', "{sub}"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "beta"\ncontrast = "a"', "statistic 'beta'"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "z"', "its contrast"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "z"\ncolour = "a"', "colour"),
        ('[[maps]]\npath = "{sub}.nii"\nstatistic = "z"\ncontrast = "a"', "fits the pattern"),
    ],
)
def test_a_wrong_pattern_is_told_in_one_line(tmp_path, text, message):
    path = tmp_path / "maps.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        find(path)


def test_statmaps_are_taken_out_of_the_derivatives(tmp_path):
    place, others = statmaps_place((f"statmaps={tmp_path}", "fmriprep=/x"))
    assert (place, others) == (tmp_path, ("fmriprep=/x",))
    with pytest.raises(DatasetError, match="names 2 folders"):
        statmaps_place(("statmaps=/a", "statmaps=/b"))


# --- sessions


def a_map(session: str | None, contrast: str = "faces") -> StatMap:
    return StatMap("01", session, contrast, {"z": Path(f"{session}_{contrast}")})


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


def test_a_space_that_maps_can_be_brought_from_is_taken_where_there_is_no_other(tmp_path):
    touch(
        tmp_path,
        "sub-01_space-Own_contrast-a_stat-z_statmap.nii.gz",
        "sub-01_space-Far_contrast-a_stat-z_statmap.nii.gz",
        "sub-02_space-Far_contrast-a_stat-z_statmap.nii.gz",
        "sub-02_space-Unknown_contrast-a_stat-z_statmap.nii.gz",
    )
    files, told = in_space(find(tmp_path), "Own", ["Far"])
    assert [(file.participant, file.space) for file in files] == [("01", "Own"), ("02", "Far")]
    assert told == (
        "measured maps are brought from other templates to Own: Far (1); "
        "files in other spaces are not used: Far (1), Unknown (1)"
    )


def test_maps_of_parcels_are_no_volumes_and_others_of_cifti_are_not_read(tmp_path):
    endings = ("pscalar.nii", "dscalar.nii", "func.gii", "nii.gz")
    for number, ending in enumerate(endings, 1):
        touch(tmp_path, f"sub-0{number}_contrast-a_stat-z_statmap.{ending}")
    assert [(file.participant, file.space) for file in find(tmp_path)] == [
        ("01", "fsLR parcels"),
        ("04", None),
    ]
