from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fmriprep_dataset import add_run, describe_dataset

from bids_dtg.cli.run import main
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    check_output_location,
    participants_in,
    prepare_output_folder,
)
from bids_dtg.files.text import write_json
from bids_dtg.inputs.dataset import InputDataset, find_dataset, find_participants
from bids_dtg.inputs.studies import HCP, person_folders

WORDS = DatasetWords(
    name="maps", citation="cff-version: 1.2.0", readme="x", workflow="toy"
)


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = describe_dataset(tmp_path / "raw", kind="raw")
    (folder / "sub-01").mkdir()
    return folder


def dataset_at(root: Path) -> InputDataset:
    return InputDataset(root, "fmriprep", {}, root)


def derivative(root, pipeline="fMRIPrep"):
    describe_dataset(root, pipeline=pipeline)
    add_run(root, "01", parts=("bold",))
    return root


def test_the_usual_place_in_a_raw_dataset(raw):
    root = derivative(raw / "derivatives" / "fmriprep", pipeline="anything")
    dataset = find_dataset(raw)
    assert (dataset.root, dataset.bids_dir, dataset.name) == (root, raw, "fmriprep")


def test_any_derivative_that_fmriprep_made(raw):
    derivative(raw / "derivatives" / "xcp_d", pipeline="XCP-D")
    root = derivative(raw / "derivatives" / "prep-24")
    (raw / "derivatives" / "broken").mkdir()
    (raw / "derivatives" / "broken" / "dataset_description.json").write_text("{")
    assert find_dataset(raw).root == root
    derivative(raw / "derivatives" / "prep-25")
    with pytest.raises(
        DatasetError, match=r"several fMRIPrep derivatives: prep-24, prep-25"
    ):
        find_dataset(raw)
    assert find_dataset(raw, [str(root)]).root == root
    assert find_dataset(raw, [f"fmriprep={root}", "statmaps=/nowhere"]).root == root
    derivative(raw / "derivatives" / "xcpd", pipeline="XCP-D")
    with pytest.raises(DatasetError, match=r"several XCP-D derivatives: xcp_d, xcpd"):
        find_dataset(raw, input_type="xcpd")


@pytest.mark.parametrize(
    "content",
    [
        {"Name": "x", "DatasetType": "derivative"},
        {
            "Name": "fMRIPrep",
            "PipelineDescription": {"Name": "fMRIPrep", "Version": "1.5.0"},
        },
    ],
)
def test_the_derivatives_folder_itself(tmp_path, content):
    (tmp_path / "dataset_description.json").write_text(json.dumps(content))
    dataset = find_dataset(tmp_path)
    assert dataset.root == dataset.bids_dir == tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "does not exist"), ("empty", "is empty"), ("file", "is not a folder")],
)
def test_missing_and_empty_folders_remind_of_mounts(tmp_path, raw, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=rf"BIDS_DIR .*/{name} {message}.*mounted"):
        find_dataset(tmp_path / name)
    with pytest.raises(
        DatasetError, match=rf"--derivatives .*/{name} {message}.*mounted"
    ):
        find_dataset(raw, [str(tmp_path / name)])


def test_not_a_dataset_says_what_was_seen_and_what_is_near(raw):
    derivative(raw / "derivatives" / "fmriprep")
    with pytest.raises(
        DatasetError,
        match=r"derivatives is not a BIDS dataset: .*It has fmriprep.*did you mean .*/fmriprep\?",
    ):
        find_dataset(raw / "derivatives")
    with pytest.raises(
        DatasetError, match=r"dataset_description.*did you mean .*fmriprep\?"
    ):
        find_dataset(raw / "derivatives" / "fmriprep" / "sub-01")


def test_a_description_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "dataset_description.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"dataset_description\.json.*no JSON"):
        find_dataset(tmp_path)


def test_raw_without_derivatives(raw):
    with pytest.raises(
        DatasetError, match=r"without fMRIPrep derivatives.*--derivatives"
    ):
        find_dataset(raw)
    with pytest.raises(DatasetError, match="is a raw dataset"):
        find_dataset(raw, [str(raw)])


@pytest.mark.parametrize("name", ["fMRIPost-AROMA", "fMRIPost-rapidtide"])
def test_outputs_that_add_to_fmripreps_are_named_as_what_they_are(raw, name):
    root = derivative(raw / "derivatives" / "post", pipeline=name)
    for arguments in ((root,), (raw, [str(root)])):
        with pytest.raises(
            DatasetError, match=rf"/post holds outputs of {name}.* fMRIPrep deriv"
        ):
            find_dataset(*arguments)
    # Said to be fMRIPrep's, they are: whoever wrote both into one folder.
    assert find_dataset(root, input_type="fmriprep").input_type == "fmriprep"


def test_derivatives_of_other_packages_only(raw):
    derivative(raw / "derivatives" / "fmriprep")
    with pytest.raises(
        DatasetError,
        match=r"--derivatives .*mriqc=/a, statmaps=/b.*Expected: one of fmriprep=PATH, xcpd=PATH",
    ):
        find_dataset(raw, ["mriqc=/a", "statmaps=/b"])


def test_participants(tmp_path):
    for name in ("sub-02", "sub-01", "sub-010", "figures", "sub-"):
        (tmp_path / name).mkdir()
    (tmp_path / "sub-03.html").write_text("")
    (tmp_path / "sub-").rmdir()
    assert participants_in(tmp_path) == ("01", "010", "02")
    assert find_participants(dataset_at(tmp_path))[0] == ("01", "010", "02")
    assert find_participants(dataset_at(tmp_path), ["sub-02", "01", "02"])[0] == (
        "01",
        "02",
    )
    with pytest.raises(DatasetError, match=r"no participant 03, 1.*e\.g\. .*01"):
        find_participants(dataset_at(tmp_path), ["1", "03"])
    with pytest.raises(SettingsError, match=r"\.\./01"):
        find_participants(dataset_at(tmp_path), ["../01"])
    for reader in (participants_in, partial(person_folders, HCP)):
        with pytest.raises(DatasetError, match="gone cannot be listed: No such file"):
            reader(tmp_path / "gone")


@pytest.mark.parametrize(
    ("pipeline", "folders", "labels"),
    [
        ("fMRIPrep", ("sub-02/func", "sub-01/ses-1/func", "logs"), ["01", "02"]),
        ("XCP-D", ("sub-02/func", "sub-01/func", "atlases"), ["01", "02"]),
        (
            "",
            ("HCD02_V1_MR/MNINonLinear", "HCD02_V2_MR/MNINonLinear", "x/y"),
            ["HCD02"],
        ),
        (
            "",
            ("1234567_20227_2_0/fMRI", "1234568_2/fMRI", "x/y"),
            ["1234567", "1234568"],
        ),
    ],
)
def test_listed_participants(tmp_path, capsys, pipeline, folders, labels):
    """Folders without any file do, as no run is read."""
    root, out = tmp_path / "data", tmp_path / "out"
    if pipeline:
        describe_dataset(root, pipeline=pipeline)
    for folder in folders:
        (root / folder).mkdir(parents=True)
    words = [str(root), str(out), "participant", "--list-participants"]
    # The folder is enough.
    for few in (words, [str(root), "--list-participants"]):
        assert main(few) == 0
        assert capsys.readouterr().out.splitlines() == labels
    assert main([*words, "--model", "nowhere", "--participant-label", labels[-1]]) == 0
    assert capsys.readouterr().out.splitlines() == labels[-1:]
    assert main([*words, "--participant-label", "xyz"]) == 2
    assert not out.exists()


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_of_people_without_a_description_says_what_to_write(tmp_path, content):
    (tmp_path / "sub-01").mkdir()
    if content is not None:
        (tmp_path / "dataset_description.json").write_text(content)
    with pytest.raises(DatasetError, match='"DatasetType": "derivative"'):
        find_dataset(tmp_path, (), "auto")


def test_listed_participants_can_all_be_requested(tmp_path, capsys):
    root = describe_dataset(tmp_path / "data")
    for name in ("sub-02", "sub-", "sub-a_b", "sub- 03", "sub-01"):
        (root / name).mkdir()
    words = [str(root), "--list-participants"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["01", "02"]
    assert all(name in printed.err for name in ("'sub-'", "'sub-a_b'", "'sub- 03'"))
    assert main([*words, "--participant-label", "02", "7"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["02"]
    assert "error: " in printed.err
    assert "has no participant 7" in printed.err


def test_dataset_without_participants(tmp_path):
    describe_dataset(tmp_path)
    with pytest.raises(
        DatasetError,
        match=r"no participants .*It has dataset_description\.json.*mounted",
    ):
        find_participants(dataset_at(tmp_path))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("raw", "is the input dataset itself"),
        ("raw/derivatives/fmriprep", "is the input dataset itself"),
        ("raw/derivatives/fmriprep/dtg", "inside the dataset"),
        ("raw/sub-01/dtg", "inside the raw dataset"),
        ("raw/dtg", "inside the raw dataset"),
        ("raw/derivatives", "inside the raw dataset"),
        ("raw/derivatives/other", r"already holds another dataset \(XCP-D\)"),
        ("link/dtg", "inside the dataset"),
        ("raw/derivatives/dtg/../fmriprep/x", "inside the dataset"),
    ],
)
def test_places_where_output_may_not_go(raw, place, message):
    derivative(raw / "derivatives" / "fmriprep")
    derivative(raw / "derivatives" / "other", pipeline="XCP-D")
    (raw.parent / "link").symlink_to(raw / "derivatives" / "fmriprep")
    with pytest.raises(SettingsError, match=message):
        check_output_location(raw.parent / place, find_dataset(raw))


def test_places_where_output_may_go(raw):
    derivative(raw / "derivatives" / "fmriprep")
    dataset = find_dataset(raw)
    before = sorted(raw.rglob("*"))
    for place in (
        raw / "derivatives" / "dtg",
        raw.parent / "out",
        raw.parent / "sub-x" / "out",
    ):
        assert check_output_location(place, dataset) == place.resolve()
    assert sorted(raw.rglob("*")) == before
    beside_input = raw.parent / "out"
    write_json(
        beside_input / "dataset_description.json",
        {"GeneratedBy": [{"Name": "bids_dtg"}]},
    )
    assert check_output_location(beside_input, dataset) == beside_input


@pytest.mark.parametrize("place", ["out", "raw/derivatives/dtg"])
def test_a_second_input_does_not_go_into_the_output_of_another(raw, place):
    derivative(raw / "derivatives" / "fmriprep")
    derivative(raw / "derivatives" / "prep 25")
    first_input, second_input = (
        find_dataset(raw / "derivatives" / name) for name in ("fmriprep", "prep 25")
    )
    output = raw.parent / place
    DerivativeDataset(output).describe(second_input, WORDS)
    with pytest.raises(
        SettingsError,
        match=rf"{place} .* {second_input.root}, not {first_input.root}\. To do: ",
    ):
        check_output_location(output, first_input)
    assert check_output_location(output, second_input) == output
    (raw / "link").symlink_to(second_input.root)
    assert (
        check_output_location(output, replace(second_input, root=raw / "link"))
        == output
    )


def test_an_input_that_moved_is_taken_again(raw):
    old = derivative(raw / "derivatives" / "fmriprep")
    output = raw.parent / "out"
    DerivativeDataset(output).describe(find_dataset(raw), WORDS)
    old.rename(raw / "derivatives" / "moved")
    assert check_output_location(output, find_dataset(raw)) == output


def test_the_parent_raw_dataset_is_not_written_over(raw):
    root = derivative(raw / "derivatives" / "fmriprep")
    with pytest.raises(SettingsError, match="already holds another dataset"):
        check_output_location(raw, find_dataset(root))


def test_output_folder_is_made_and_tried(tmp_path):
    prepare_output_folder(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a" / "b").rglob("*")] == ["logs"]
    (tmp_path / "file").write_text("")
    with pytest.raises(
        SettingsError, match=r"file/out cannot be written to: Not a directory"
    ):
        prepare_output_folder(tmp_path / "file" / "out")
