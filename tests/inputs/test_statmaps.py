from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import make_image
from study_folders import add_hcp_run

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    StatMap,
    choose_statistic,
    describe_files,
    describe_sessions,
    find_statmaps,
    in_space,
    name_targets,
    people_maps,
    plain_contrast,
    session_order,
    statmaps_place,
)


def find(place: Path) -> tuple[StatMap, ...]:
    return find_statmaps(place)[0]


A, Z = "contrast-a_stat-z_statmap.nii.gz", "stat-z_statmap.nii.gz"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def add_hcp_task(
    root: Path,
    analysis: str,
    maps: dict[str, dict[str, np.ndarray]],
    folder: str = "100307",
) -> Path:
    """Add a task's maps as TaskfMRILevel2.sh of HCPpipelines leaves them.

    `analysis` is a name such as tfMRI_WM_hp200_s4_level2; `maps` has cope and zstat of each
    contrast, by HCP's name of it.
    """
    run = analysis.partition("_hp200")[0]
    feat = root / folder / "MNINonLinear" / "Results" / run / f"{analysis}.feat"
    feat.mkdir(parents=True)
    (feat / "Contrasts.txt").write_text("".join(f"{name}\n" for name in maps))
    for number, name in enumerate(maps, 1):
        for kind, values in maps[name].items():
            path = (
                feat / "StandardVolumeStats" / f"cope{number}.feat" / f"{kind}1.nii.gz"
            )
            make_image(path, values.astype(np.float32))
    return feat


def patterns(folder: Path, *tables: str) -> Path:
    path = folder / "maps.toml"
    path.write_text("".join(f"[[maps]]\n{text}\n" for text in tables))
    return path


# --- names of BIDS


def test_names_of_nilearn_are_read_and_the_first_statistic_of_everybody_is_kept(
    tmp_path,
):
    stem = "sub-01/sub-01_task-wm_contrast-wm2bk"
    touch(
        tmp_path,
        *(
            f"{stem}_stat-{stat}_statmap.nii.gz"
            for stat in ("effect", "variance", "t", "p")
        ),
        "sub-02/ses-a/sub-02_ses-a_contrast-wm2bk_stat-z_statmap.nii",
        "sub-02/ses-a/sub-02_ses-a_contrast-wm2bk_stat-t_statmap.nii",
        "group/contrast-wm2bk_stat-z_statmap.nii.gz",
        "read-me.nii.gz",
    )
    people = people_maps(find(tmp_path))
    first, second = (people[person].target["wm2bk"] for person in ("01", "02"))
    assert (first.session, first.task, set(first.files)) == (
        None,
        "wm",
        {"t", "effect"},
    )
    assert (second.session, second.task, set(second.files)) == ("a", None, {"z", "t"})
    assert choose_statistic(people) == ("t", "")
    assert describe_files(people.values(), "t") == (
        "2 t maps of 2 participants, such as sub-01_task-wm_contrast-wm2bk_stat-t_statmap.nii.gz"
    )


def test_without_a_statistic_of_everybody_the_call_is_refused(tmp_path):
    touch(tmp_path, "sub-01_contrast-a_stat-t_statmap.nii.gz", f"sub-02_{A}")
    with pytest.raises(DatasetError, match=r"are t and z maps\. Expected: a statistic"):
        choose_statistic(people_maps(find(tmp_path)))


# Files beside a subject map of two runs, and what is chosen.
RUNS = {
    "as many": ([f"sub-02_run-{n}_{A}" for n in "12"] + [f"sub-02_{A}"], "z"),
    "none known": (
        [f"sub-02_{A}"],
        "an unknown number of runs of 1 participant (sub-02), 2 runs",
    ),
    "one": (
        [f"sub-02_run-1_{A}"],
        "a has 1 run of 1 participant (sub-02), 2 runs of 1 participan",
    ),
    "three": (
        [f"sub-02_run-{n}_{A}" for n in "123"] + [f"sub-02_{A}"],
        "3 runs of 1 participant",
    ),
    "over sessions": (
        [f"sub-02_ses-{n}_run-1_{A}" for n in "ab"] + [f"sub-02_{A}"],
        "z",
    ),
    "of another session": (
        [f"sub-02_ses-{n}_run-1_{A}" for n in "ab"],
        "a has 1 run of 1 partic",
    ),
    "another contrast": ([f"sub-02_run-1_{A.replace('a_', 'b_')}"], "z"),
    "effects": (
        [f"sub-02_run-1_{map_name}" for map_name in (A, A.replace("-z", "-effect"))],
        "effect",
    ),
}


@pytest.mark.parametrize("what", RUNS)
def test_z_of_different_numbers_of_runs_are_refused_by_name(tmp_path, what):
    """Their scale grows with the number of runs, and would look like a trait of the person."""
    names, expected = RUNS[what]
    whole = [f"sub-01_{name}" for name in (A, A.replace("-z", "-effect"))]
    touch(tmp_path, *whole, *(f"sub-01_run-{n}_{A}" for n in "12"), *names)
    people = people_maps(find(tmp_path))
    if expected in ("z", "effect"):
        statistic, words = choose_statistic(people)
        assert statistic == expected
        assert words.startswith("maps of effects are used, as") == (
            expected == "effect"
        )
        return
    with pytest.raises(DatasetError, match=re.escape(expected)) as caught:
        choose_statistic(people)
    assert "--participant-label" in str(caught.value)


def test_of_the_levels_of_fitlins_only_the_highest_is_used(tmp_path):
    touch(
        tmp_path,
        *(f"node-runLevel/sub-01_ses-{n}_run-1_{A}" for n in "ab"),
        *(f"node-sessionLevel/sub-01_ses-{n}_{A}" for n in "ab"),
        f"node-subjectLevel/sub-01_{A}",
    )
    persons_maps = people_maps(find(tmp_path))["01"]
    assert persons_maps.target["a"].files["z"].parent.name == "node-subjectLevel"
    assert not persons_maps.retest
    (tmp_path / f"node-subjectLevel/sub-01_{A}").unlink()
    persons_maps = people_maps(find(tmp_path))["01"]
    paths = [
        maps["a"].files["z"].relative_to(tmp_path)
        for maps in (persons_maps.target, persons_maps.retest)
    ]
    assert [str(path) for path in paths] == [
        f"node-sessionLevel/sub-01_ses-{n}_{A}" for n in "ab"
    ]


@pytest.mark.parametrize(
    ("first", "second"), [("res-1_", "res-2_"), ("run-1_", "run-2_")]
)
def test_two_files_of_one_map_are_refused_and_never_averaged(tmp_path, first, second):
    touch(tmp_path, *(f"sub-01_{prefix}{A}" for prefix in (first, second)))
    line = rf"two z maps of a: .*{first}.*{second}.*To do: combine runs .*-d statmaps=maps\.toml"
    with pytest.raises(DatasetError, match=line):
        people_maps(find(tmp_path))


def test_predicted_maps_are_never_taken_for_measured_ones(tmp_path):
    touch(
        tmp_path,
        *(
            f"sub-01_desc-{description}_{A}"
            for description in ("synthetic", "halfwidth90", "groupSd")
        ),
    )
    with pytest.raises(DatasetError, match=r"no measured maps .*not predicted maps"):
        find(tmp_path)
    touch(tmp_path, f"sub-01_desc-measured_{A}")
    path = 'path = "sub-{sub}_desc-{contrast}_contrast-a_stat-z_statmap.nii.gz"\nstatistic = "z"'
    for place in (tmp_path, patterns(tmp_path, path)):
        (measured,), predicted = find_statmaps(place)
        assert (measured.files["z"].name, predicted) == (f"sub-01_desc-measured_{A}", 3)


def test_maps_of_parcels_are_no_volumes_and_others_of_cifti_are_not_read(tmp_path):
    for number, ending in enumerate(
        ("pscalar.nii", "dscalar.nii", "func.gii", "nii.gz"), 1
    ):
        touch(tmp_path, f"sub-0{number}_contrast-a_stat-z_statmap.{ending}")
    spaces = [(statmap.participant, statmap.space) for statmap in find(tmp_path)]
    assert spaces == [("01", "fsLR parcels"), ("04", None)]


def test_a_place_without_maps_is_refused(tmp_path):
    with pytest.raises(
        DatasetError, match=r"gone cannot be read.* Expected: a folder of"
    ):
        find(tmp_path / "gone")
    touch(tmp_path, f"sub-01_{A}".replace("statmap", "mask"))
    with pytest.raises(DatasetError, match="no measured maps with recognised names"):
        find(tmp_path)


def test_statmaps_are_taken_out_of_the_derivatives(tmp_path):
    place, derivatives = statmaps_place((f"statmaps={tmp_path}", "fmriprep=/x"))
    assert (place, derivatives) == (tmp_path, ("fmriprep=/x",))
    with pytest.raises(DatasetError, match="names 2 paths of statmaps="):
        statmaps_place(("statmaps=/a", "statmaps=/b"))


# --- tasks and spaces


def test_maps_of_different_tasks_are_different_targets(tmp_path):
    tasks = ("wm", "motor", "gambling")
    touch(tmp_path, *(f"sub-01_task-{task}_contrast-cue_{Z}" for task in tasks))
    touch(tmp_path, f"sub-01_task-WM_contrast-2BK_{Z}")
    maps, told = name_targets(find(tmp_path), {"wm2bk": "wm", "cue": "motor"})
    # cue is of the task that the known contrast belongs to.
    names = {plain_contrast(statmap.contrast) for statmap in maps}
    assert names == {"gamblingcue", "cue", "wmcue", "wm2bk"}
    assert told == "names of tasks are put before contrasts of several: cue"


def test_a_label_of_several_tasks_and_of_none_is_refused(tmp_path):
    touch(tmp_path, *(f"sub-01_{task}{A}" for task in ("task-b_", "", "task-c_")))
    with pytest.raises(
        DatasetError, match="contrast a name the tasks b, c, others name no task"
    ):
        name_targets(find(tmp_path), {})


@pytest.mark.parametrize(
    ("sidecar", "content"),
    [
        (
            "sub-01_contrast-a_stat-z_statmap",
            '{"SpatialReference": "https://x/tpl-Other/T1w.nii"}',
        ),
        ("sub-01_contrast-a_statmap", '{"Space": "Other"}'),
        ("statmap", '{"SpatialReference": "Other"}'),
    ],
)
def test_a_sidecar_names_the_space(tmp_path, sidecar, content):
    touch(tmp_path, f"sub-01_{A}")
    maps, told = in_space(find(tmp_path), "MNI152NLin6Asym")
    assert len(maps) == 1
    assert (
        "1 file of measured maps name no space and are assumed to be in MNI152NLin6Asym"
        in told
    )
    (tmp_path / f"{sidecar}.json").write_text(content)
    assert in_space(find(tmp_path), "Other")[1] == ""
    with pytest.raises(
        DatasetError, match=r"maps are in Other\. Expected: MNI152NLin6Asym"
    ):
        in_space(find(tmp_path), "MNI152NLin6Asym")


def test_the_named_space_goes_before_none_and_that_before_those_maps_can_be_brought_from(
    tmp_path,
):
    spaces = {
        "01": ("", "Own", "Far", "Other"),
        "02": ("Far", "Other"),
        "03": ("", "Far"),
    }
    for person, persons_spaces in spaces.items():
        touch(
            tmp_path,
            *(
                f"sub-{person}_{f'space-{name}_' * bool(name)}{A}"
                for name in persons_spaces
            ),
        )
    maps, told = in_space(find(tmp_path), "Own", ["Far"])
    chosen_spaces = {(statmap.participant, statmap.space) for statmap in maps}
    assert chosen_spaces == {("01", "Own"), ("02", "Far"), ("03", None)}
    assert told.startswith("1 file of measured maps name no space")
    assert told.endswith(
        "measured maps are transformed from other templates to Own: Far (1); "
        "files in other spaces are not used: Far (2), Other (2)"
    )


# --- patterns


def test_a_pattern_file_finds_feat_folders(tmp_path):
    feat = "LANGUAGE/cope{}.feat/stats/zstat1.nii.gz"
    touch(
        tmp_path,
        *(
            f"{person}/{feat.format(n)}"
            for person in ("100307", "sub-2")
            for n in (1, 4, 9)
        ),
    )
    place = patterns(
        tmp_path,
        f'path = "{{sub}}/{feat.format("{contrast}")}"\nstatistic = "z"\nspace = "Own"\n'
        'task = "language"\ncontrasts = {1 = "languageMath", 4 = "languageStory"}',
    )
    facts = [
        (statmap.participant, statmap.contrast, statmap.task, statmap.space)
        for statmap in find(place)
    ]
    labels = ("languageMath", "languageStory")
    assert facts == [
        (person, label, "language", "Own")
        for person in ("100307", "2")
        for label in labels
    ]


def test_a_value_that_stands_twice_in_a_pattern_is_the_same(tmp_path):
    touch(tmp_path, "01/run1/01_a.nii", "01/run1/02_a.nii")
    text = 'path = "{sub}/run{run}/{sub}_{contrast}.nii"\nstatistic = "z"'
    (statmap,) = find(patterns(tmp_path, text))
    assert (statmap.participant, statmap.run, statmap.contrast) == ("01", "1", "a")


PATH = 'path = "{sub}_{contrast}.nii"\nstatistic = "z"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path = [", r"maps\.toml"),
        ('path = "x.nii"\nstatistic = "z"\ncontrast = "a"', "has the pattern"),
        ('path = "/{sub}.nii"\nstatistic = "z"\ncontrast = "a"', "a relative path"),
        (
            'path = "{sub}.nii"\nstatistic = "beta"\ncontrast = "a"',
            "'beta'.*z, t or effect",
        ),
        ('path = "{sub}.nii"\nstatistic = "z"', "the key contrast"),
        (f'{PATH}colour = "a"', "'colour': 'a'"),
        ('path = "{sub}.nii"\nstatistic = "z"\ncontrast = "a"', "matches the pattern"),
        (f"{PATH}contrasts = {{1 = 2}}", r"'1': 2.*Expected: texts"),
        (f"{PATH}contrasts = 3", "has the pattern"),
        (f"{PATH}space = 3", "'space': 3"),
    ],
)
def test_a_wrong_pattern_is_one_line(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message) as caught:
        find(patterns(tmp_path, text))
    assert "\n" not in str(caught.value)
    (tmp_path / "maps.toml").write_text("maps = 3")
    with pytest.raises(DatasetError, match="no list of patterns"):
        find(tmp_path / "maps.toml")


# --- sessions


def a_map(session: str | None) -> StatMap:
    return StatMap("01", session, "faces", {"z": Path(f"{session}")})


def chosen(*sessions: str | None, preferred: tuple[str, ...] = ()) -> PersonMaps:
    return people_maps(map(a_map, sessions), preferred)["01"]


@pytest.mark.parametrize(
    "ordered",
    [
        ("test", "retest"),
        ("01", "02", "10"),
        ("2", "10"),
        ("baseline", "followup"),
        ("pre", "post"),
        ("wave1", "wave1repeat"),
    ],
)
def test_sessions_are_in_the_order_in_which_they_happen(ordered):
    assert tuple(sorted(ordered, key=session_order)) == ordered
    persons_maps = chosen(*reversed(ordered))
    assert (
        persons_maps.target["faces"].session,
        persons_maps.retest["faces"].session,
    ) == ordered[:2]


def test_a_session_that_is_asked_for_comes_first():
    sessions = ("test", "retest", "pilot")
    persons_maps = chosen(*sessions, preferred=("retest", "test"))
    assert (
        persons_maps.target["faces"].session,
        persons_maps.retest["faces"].session,
    ) == (
        "retest",
        "test",
    )
    # Who lacks it has the others.
    assert chosen(*sessions, preferred=("more",)).target["faces"].session == "pilot"


def test_it_is_said_which_session_is_which():
    with_retest = chosen("retest", "test")
    with_test = chosen("test")
    of_all = chosen("1", None, "2")
    assert describe_sessions([with_retest, with_test]) == (
        "Maps to predict are from ses-test (2 participants); "
        "retests are from ses-retest (1 participant)."
    )
    assert describe_sessions([with_test]).endswith("there are no retests.")
    # What is of no session is of all, and has no retest.
    assert (of_all.target["faces"].session, dict(of_all.retest)) == (None, {})
    assert describe_sessions([of_all]) == ""


# --- HCP's folders, as its public scripts write them

TASKS = {plain_contrast(row.label): plain_contrast(row.task) for row in hcp_contrasts()}
ONES = np.ones((1, 1, 1))


def test_all_of_hcps_contrasts_are_known_by_their_names(tmp_path):
    for task in dict.fromkeys(row.task for row in hcp_contrasts()):
        names = [row.name for row in hcp_contrasts() if row.task == task]
        maps = {name: {"cope": ONES, "zstat": ONES} for name in names}
        add_hcp_task(tmp_path, f"tfMRI_{task}_hp200_s2_level2vol", maps)
    targets = people_maps(name_targets(find(tmp_path), TASKS)[0])["100307"].target
    assert targets.keys() == TASKS.keys()
    statmap = targets["languagemath"]
    assert (statmap.session, statmap.space) == (None, "MNI152NLin6Asym")
    assert statmap.files["z"].parts[-2:] == ("cope1.feat", "zstat1.nii.gz")


def test_a_contrast_without_events_has_no_map(tmp_path):
    maps = {name: {"cope": ONES} for name in ("FACES", "SHAPES")}
    name = "tfMRI_EMOTION_hp200_s4_level2"
    folder = add_hcp_task(tmp_path, name, maps, folder="HCD01_V1_MR")
    shutil.rmtree(folder / "StandardVolumeStats/cope2.feat")
    (statmap,) = find(tmp_path)
    assert (statmap.participant, statmap.session, list(statmap.files)) == (
        "HCD01",
        "V1",
        ["effect"],
    )


def test_what_is_ambiguous_or_missing_in_hcps_folders_is_one_line(tmp_path):
    add_hcp_run(tmp_path, bold=np.zeros((3, 3, 3, 4), np.float32))
    with pytest.raises(DatasetError, match=r"has no measured maps.*level2\*.feat with"):
        find(tmp_path)
    maps = {"FACES": {"cope": ONES}}
    folder = add_hcp_task(tmp_path, "tfMRI_EMOTION_hp200_s4_level2", maps)
    add_hcp_task(tmp_path, "tfMRI_EMOTION_hp200_s2_level2", maps)
    with pytest.raises(DatasetError, match=r"two effect maps of FACES: .*_s2_.*_s4_"):
        people_maps(find(tmp_path))
    (folder / "Contrasts.txt").unlink()
    with pytest.raises(
        DatasetError, match=r"_hp200_s4_level2.feat/Contrasts.txt .*No such file"
    ):
        find(tmp_path)


def test_volumes_in_a_template_whose_cortex_is_known_suit_parcels(tmp_path):
    spaces = ("MNI152NLin6Asym", "MNI152NLin2009cAsym", "Own", "")
    names = [
        f"sub-0{n}_{f'space-{name}_' * bool(name)}{A}" for n, name in enumerate(spaces)
    ]
    touch(tmp_path, *names)
    maps, told = in_space(find(tmp_path), "fsLR parcels")
    assert {statmap.participant for statmap in maps} == {"00", "01"}
    assert "read at a template's vertices" in told
    for name in names[:2]:
        (tmp_path / name).unlink()
    with pytest.raises(DatasetError) as caught:
        in_space(find(tmp_path), "fsLR parcels")
    assert "volumes in MNI152NLin6Asym or MNI152NLin2009cAsym" in str(caught.value)
    assert "resample them" in str(caught.value)
