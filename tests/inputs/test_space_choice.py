from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import SPACE, add_run, describe_dataset
from itk_files import LPS, affine_part, write_composite
from maps_job import TinyJob, add_rest
from study_folders import add_transforms, write_affine

from bids_dtg.contrasts.participant.measure import measure
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError
from bids_dtg.settings import CleaningOptions

OTHER = "MNI152NLin2009cAsym"
TEMPLATE = f"tpl-{SPACE}/tpl-{SPACE}_from-{OTHER}_mode-image_xfm.h5"


@pytest.fixture
def root(tmp_path) -> Path:
    return describe_dataset(tmp_path / "fmriprep")


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "templateflow"


def with_template(home: Path, name: str = TEMPLATE) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    return path


def add_all(root: Path) -> None:
    """Add a run in every space, with everything that leads to the model's."""
    for space, res in (
        (SPACE, "2"),
        (SPACE, "1"),
        (OTHER, None),
        ("T1w", None),
        (None, None),
    ):
        add_run(root, space=space, res=res)
    add_transforms(root)


def find(root: Path, home: Path, *, requested=None, on_lattice=None) -> RestRun:
    rule = SpaceRule(
        requested=requested, on_lattice=on_lattice, templateflow=TemplateFlow(home)
    )
    (run,) = find_runs(root, "01", rule=rule)
    return run


def names(run: RestRun) -> list[str]:
    return [transform.path.name for transform in run.transforms]


ANAT = f"sub-01_from-T1w_to-{SPACE}_mode-image_xfm.txt"
COREG = "sub-01_task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"


def test_each_space_is_taken_when_the_better_ones_are_gone(root, home):
    """The order of preference, and what each needs, by taking the best away again and again."""
    add_all(root)
    with_template(home)
    taken = []
    while True:
        try:
            run = find(root, home, on_lattice=lambda path: "res-2" in path.name)
        except RunError:
            break
        taken.append((run.space, dict(run.entities).get("res"), names(run)))
        assert run.mask is not None
        assert {t.path for t in run.transforms} <= set(run.inputs)
        assert not any(transform.inverse for transform in run.transforms)
        run.bold.unlink()
    assert taken == [
        (SPACE, "2", []),
        (SPACE, "1", []),
        ("boldref", None, [ANAT, COREG]),
        ("T1w", None, [ANAT]),
        (OTHER, None, [Path(TEMPLATE).name]),
    ]


def test_the_lattice_decides_and_not_the_label(root, home):
    add_all(root)
    run = find(root, home, on_lattice=lambda path: "res-1" in path.name)
    assert dict(run.entities)["res"] == "1"
    assert run.space_reason == (
        f"{SPACE}, the model's space; {SPACE}:res-1 is on the model's grid; "
        f"chosen from {OTHER}, {SPACE}:res-1, {SPACE}:res-2, T1w, boldref"
    )
    run = find(root, home, on_lattice=lambda path: False)
    assert dict(run.entities)["res"] == "2"
    assert "is not on the model's grid" in run.space_reason


@pytest.mark.parametrize(
    ("requested", "space", "res"),
    [
        (SPACE, SPACE, "2"),
        (f"{SPACE}:res-1", SPACE, "1"),
        (f"{SPACE}:res-02", SPACE, "2"),
        (OTHER, OTHER, None),
        ("T1w", "T1w", None),
        ("anat", "T1w", None),
        ("boldref", "boldref", None),
        ("func", "boldref", None),
    ],
)
def test_a_space_that_is_asked_for(root, home, requested, space, res):
    add_all(root)
    with_template(home)
    run = find(root, home, requested=requested)
    assert (run.space, dict(run.entities).get("res")) == (space, res)
    assert "requested with --space" in run.space_reason


@pytest.mark.parametrize("requested", [None, "MNI152NLin6ASym:res-2"])
def test_the_model_s_template_as_the_bids_specification_spells_it(
    root, home, requested
):
    bold = add_run(root, space="MNI152NLin6ASym")
    run = find(root, home, requested=requested)
    assert (run.bold, run.space, run.transforms) == (bold, SPACE, ())
    assert run.mask is not None
    bold.unlink()
    add_run(root, space=None, res=None)
    add_transforms(root)
    anat = root / "sub-01" / "anat"
    (anat / ANAT).rename(anat / (respelt := ANAT.replace(SPACE, "MNI152NLin6ASym")))
    assert names(find(root, home)) == [respelt, COREG]


def test_a_space_that_is_asked_for_and_not_there(root, home):
    add_all(root)
    with pytest.raises(
        RunError,
        match=rf"no version of sub-01_task-rest in MNI152NLin6Sym\. Expected: one of {OTHER}, "
        rf"{SPACE}:res-1, {SPACE}:res-2, T1w, boldref\. To do: did you mean MNI152NLin6Asym",
    ):
        find(root, home, requested="MNI152NLin6Sym")


@pytest.mark.parametrize("word", ["scanner", "run"])
def test_names_of_other_versions_of_fmriprep(root, home, word):
    add_run(root, space=None, res=None)
    add_transforms(root)
    func = root / "sub-01" / "func"
    older_name = func / f"sub-01_task-rest_from-{word}_to-T1w_mode-image_xfm.txt"
    (func / COREG).rename(older_name)
    (transform,) = (t for t in find(root, home).transforms if t.path == older_name)
    assert not transform.inverse
    older_name.rename(func / f"sub-01_task-rest_from-T1w_to-{word}_mode-image_xfm.txt")
    assert find(root, home).transforms[-1].inverse


@pytest.mark.parametrize("space", ["T1w", None])
def test_a_native_run_goes_through_the_usual_template_where_that_is_the_only_way(
    root, home, space
):
    add_run(root, space=space, res=None)
    add_transforms(root)
    anat = root / "sub-01" / "anat"
    usual = (anat / ANAT).rename(anat / ANAT.replace(SPACE, OTHER))
    with pytest.raises(
        TransformMissingError,
        match=rf"no {ANAT[:-4]}\S+; .*TemplateFlow's.*To do: curl .*_xfm\.h5",
    ):
        find(root, home)
    with_template(home)
    run = find(root, home)
    assert names(run) == [
        Path(TEMPLATE).name,
        usual.name,
        *([COREG] if space is None else []),
    ]
    assert run.space_reason == (
        f"{space or 'boldref'} with the transforms to {OTHER} and from there to {SPACE}; "
        f"there is no version in {SPACE}"
    )
    # A series in that template has one interpolation less to go by.
    add_run(root, space=OTHER, res=None)
    assert find(root, home).space == OTHER


@pytest.mark.slow
def test_the_way_through_the_usual_template_is_that_of_the_composed_transform(
    root, home
):
    """The connectome is the same as through one transform that composes the two."""
    turn, move = np.eye(4), np.eye(4)
    turn[:2, :2], move[:3, 3] = [[0.98, 0.1], [-0.1, 0.98]], (3.0, -2.0, 1.5)
    add_rest(root, space="T1w", res=None)
    add_transforms(root)
    anat = root / "sub-01" / "anat"
    write_affine(anat / ANAT, turn @ move)
    bundle = TinyJob(root.parent, ()).bundle
    none = CleaningOptions(denoise_strategy="none")
    composed = measure(find(root, home), bundle, none)
    (anat / ANAT).unlink()
    write_affine(anat / ANAT.replace(SPACE, OTHER), turn)
    write_composite(with_template(home), [affine_part(LPS @ move @ LPS)])
    through = find(root, home)
    np.testing.assert_allclose(measure(through, bundle, none).r, composed.r, atol=1e-6)


def test_a_template_that_the_program_cannot_help_with(root, home):
    add_run(root, space="MNIInfant_cohort-2", res=None)
    told = r"from-MNIInfant\+2_mode.*To do: fmriprep.*or put"
    with pytest.raises(RunError, match=told) as caught:
        find(root, home)
    assert not isinstance(caught.value, TransformMissingError)
    with_template(home, f"tpl-{SPACE}/tpl-{SPACE}_from-MNIInfant+2_mode-image_xfm.h5")
    assert find(root, home).space == "MNIInfant"


def test_two_transforms_of_one_anatomy_are_no_reason_for_a_detour(root, home):
    """Other ways from T1w space are of the same unknown image; a series in a template is not."""
    add_run(root, space=None, res=None)
    add_transforms(root)
    anat = root / "sub-01" / "anat"
    (anat / ANAT.replace("sub-01_", "sub-01_acq-mpr_")).write_bytes(b"x")
    (anat / ANAT.replace(SPACE, OTHER)).write_bytes(b"x")
    with_template(home)
    with pytest.raises(
        RunError, match=rf"two files may be .*_acq-mpr_from.* and .*/{ANAT}"
    ):
        find(root, home)
    coreg = root / "sub-01" / "func" / COREG.replace(".txt", ".json")
    coreg.write_text(
        '{"Sources": ["bids::sub-01/anat/sub-01_acq-mpr_desc-preproc_T1w.nii.gz"]}'
    )
    assert "_acq-mpr_" in names(find(root, home))[0]
    coreg.unlink()
    add_run(root, space=OTHER, res=None)
    assert find(root, home).space == OTHER


def test_one_run_whose_transform_must_be_fetched_is_not_left_out(root, home):
    add_run(root, entities="run-1")
    add_run(root, entities="run-2", space=OTHER, res=None)
    rule = SpaceRule(templateflow=TemplateFlow(home))
    with pytest.raises(
        TransformMissingError, match="task-rest_run-2 is in other spaces only"
    ):
        find_runs(root, "01", rule=rule)
