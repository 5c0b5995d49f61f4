from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fmriprep_dataset import add_run, describe_dataset

from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.atomic import temporary_name
from bids_dtg.files.derivatives import (
    IGNORED,
    DatasetWords,
    DerivativeDataset,
    check_output_location,
)
from bids_dtg.inputs.dataset import InputDataset, find_dataset
from bids_dtg.version import __version__


@pytest.fixture
def source(tmp_path) -> InputDataset:
    raw = describe_dataset(tmp_path / "raw data", kind="raw")
    root = describe_dataset(raw / "derivatives" / "fmriprep")
    add_run(root, "01", parts=("bold",))
    return find_dataset(raw)


@pytest.fixture
def dataset(tmp_path) -> DerivativeDataset:
    (tmp_path / "out").mkdir()
    return DerivativeDataset(tmp_path / "out")


def words(readme: str) -> DatasetWords:
    return replace(PRESENTATION.dataset, readme=readme)


@pytest.mark.parametrize(
    "relative", ["../x", "sub-01/../../x", "/etc/x", "link/x", "..", ""]
)
def test_nothing_leads_outside(dataset, relative):
    (dataset.root / "link").symlink_to(dataset.root.parent)
    with pytest.raises(OutputError, match="leads outside the output folder"):
        dataset.path(relative)


def test_writing_inside_replaces_links_to_files(dataset, tmp_path):
    (tmp_path / "annexed").write_bytes(b"old")
    (dataset.root / "sub-01").mkdir()
    (dataset.root / "sub-01" / "map.nii.gz").symlink_to(tmp_path / "annexed")
    path = dataset.write("sub-01/map.nii.gz", b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "annexed").read_bytes() == b"old"


def test_description_links_its_sources(dataset, source, monkeypatch):
    monkeypatch.setenv("DTG_CONTAINER_TAG", "dtg:1")
    dataset.describe(source, words("hello\n"))
    content = json.loads((dataset.root / "dataset_description.json").read_text())
    assert content["DatasetType"] == "derivative"
    (program,) = content["GeneratedBy"]
    assert program == {
        "Name": "bids_dtg",
        "Version": __version__,
        "Workflow": "contrasts",
        "Container": {"Type": "docker", "Tag": "dtg:1"},
    }
    assert "as described in logs/CITATION.md." in content["HowToAcknowledge"]
    _, paper = content["ReferencesAndLinks"]
    assert "doi.org/10.1038/s42003-025-09158-6" in paper
    assert content["DatasetLinks"] == {
        "fmriprep": "../raw%20data/derivatives/fmriprep",
        "raw": "../raw%20data",
        "templateflow": "https://github.com/templateflow/templateflow",
    }
    (entry,) = content["SourceDatasets"]
    assert entry == {"URL": "../raw%20data/derivatives/fmriprep"}
    assert (dataset.root / "README").read_text() == "hello\n"
    # Our own folder is taken again.
    assert check_output_location(dataset.root, source) == dataset.root


def test_links_inside_the_raw_dataset_are_relative(source):
    dataset = DerivativeDataset(source.bids_dir / "derivatives" / "dtg")
    dataset.describe(source, words("x"))
    content = json.loads((dataset.root / "dataset_description.json").read_text())
    links = content["DatasetLinks"]
    assert (links["fmriprep"], links["raw"]) == ("../fmriprep", "../..")


@pytest.mark.parametrize("doi", [None, "doi:10.18112/openneuro.ds000001"])
def test_a_description_holds_no_path_to_other_places(
    dataset, tmp_path, monkeypatch, doi
):
    monkeypatch.setenv("APPTAINER_CONTAINER", "/home/ann/dtg.sif")
    far = tmp_path / "ann" / "data" / "fmriprep"
    far.mkdir(parents=True)
    source = InputDataset(far, "fmriprep", {"DatasetDOI": doi}, far.parent)
    dataset.describe(source, words("x"))
    text = (dataset.root / "dataset_description.json").read_text()
    assert "ann" not in text
    content = json.loads(text)
    assert content["DatasetLinks"]["fmriprep"] == (doi or "urn:dataset:fmriprep")
    assert content["DatasetLinks"]["raw"] == "urn:dataset:raw"
    # A name is no address.
    assert content.get("SourceDatasets") == (
        [{"URL": doi, "DOI": doi}] if doi else None
    )
    assert content["GeneratedBy"][0]["Container"] == {
        "Type": "apptainer",
        "Tag": "dtg.sif",
    }
    # Another input is refused all the same: where this one lies is in the logs.
    assert check_output_location(dataset.root, source) == dataset.root
    elsewhere = tmp_path / "other" / "fmriprep"
    elsewhere.mkdir(parents=True)
    with pytest.raises(
        SettingsError, match=f"holds results from {far}, not {elsewhere}"
    ):
        check_output_location(
            dataset.root, InputDataset(elsewhere, "fmriprep", {}, elsewhere)
        )


def test_users_lines_and_texts_are_kept(dataset, source):
    (dataset.root / ".bidsignore").write_text("mine/\n*.html")
    (dataset.root / "README.md").write_text("edited")
    dataset.describe(source, words("x"))
    dataset.describe(source, words("x"))
    lines = (dataset.root / ".bidsignore").read_text().splitlines()
    assert lines[:2] == ["mine/", "*.html"]
    assert lines[2::2] == [f"# {IGNORED[pattern]}" for pattern in lines[3::2]]
    assert sorted(lines[3::2]) == sorted(set(IGNORED) - {"*.html"})
    assert not (dataset.root / "README").exists()


def test_right_files_are_not_written_again(dataset, source):
    dataset.describe(source, words("x"))

    def times():
        files = [path for path in dataset.root.rglob("*") if path.is_file()]
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    assert {path.name for path in before} >= {"README", ".bidsignore"}
    dataset.describe(source, words("y"))
    assert times() == before


def test_what_people_wrote_into_the_description_is_kept(dataset, source):
    dataset.describe(source, words("x"))
    path = dataset.root / "dataset_description.json"
    content = json.loads(path.read_text())
    additions = {
        "Authors": ["A. Person"],
        "License": "CC0",
        "Acknowledgements": "thanks",
    }
    path.write_text(json.dumps({**content, **additions, "Name": "My maps"}))
    dataset.describe(source, words("x"))
    description = json.loads(path.read_text())
    assert {key: description[key] for key in (*additions, "Name")} == {
        **additions,
        "Name": "My maps",
    }


@pytest.mark.parametrize("of_raw", [False, True])
def test_authors_and_licence_are_those_of_the_data(dataset, source, of_raw):
    about = {"License": "CC0", "Authors": ["A. Person", "B. Person"]}
    if of_raw:
        raw = source.bids_dir / "dataset_description.json"
        raw.write_text(
            json.dumps({**json.loads(raw.read_text()), "Authors": about.pop("Authors")})
        )
    dataset.describe(replace(source, description=about), words("x"))
    description = json.loads((dataset.root / "dataset_description.json").read_text())
    assert (description["License"], description["Authors"]) == (
        "CC0",
        ["A. Person", "B. Person"],
    )


def test_participants_follow_the_folders_and_keep_columns(dataset):
    for name in ("sub-02", "sub-01"):
        (dataset.root / name).mkdir()
    dataset.update_participants()
    table = dataset.root / "participants.tsv"
    assert table.read_text() == "participant_id\nsub-01\nsub-02\n"
    table.write_text("participant_id\tage\nsub-02\t30\nsub-09\t40\n")
    assert dataset.update_participants() == ("sub-09",)
    assert table.read_text() == "participant_id\tage\nsub-01\tn/a\nsub-02\t30\n"
    sidecar = dataset.root / "participants.json"
    assert json.loads(sidecar.read_text())["participant_id"]["Description"]
    sidecar.write_text('{"age": {"Units": "years"}}')
    table.write_text("nonsense")
    assert dataset.update_participants() == ()
    assert table.read_text() == "participant_id\nsub-01\nsub-02\n"
    assert json.loads(sidecar.read_text()) == {"age": {"Units": "years"}}


def test_unreadable_table_is_one_line(dataset):
    (dataset.root / "participants.tsv").write_bytes(b"\xff\xff\x81")
    with pytest.raises(OutputError, match=r"participants\.tsv cannot be read"):
        dataset.update_participants()


MANY = """
import sys
from pathlib import Path
from bids_dtg.files.derivatives import DerivativeDataset
root, first = Path(sys.argv[1]), int(sys.argv[2])
for number in range(first, first + 25):
    (root / f"sub-{number:03d}").mkdir()
    DerivativeDataset(root).update_participants()
"""


@pytest.mark.slow
def test_many_processes_lose_nobody(dataset):
    writers = [
        subprocess.Popen([sys.executable, "-c", MANY, str(dataset.root), str(first)])
        for first in (0, 25, 50, 75)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    lines = (dataset.root / "participants.tsv").read_text().splitlines()
    assert lines == ["participant_id", *(f"sub-{n:03d}" for n in range(100))]
    assert not list(dataset.root.glob(".dtg-*"))


@pytest.mark.slow
def test_validator_accepts_what_describes_the_dataset(dataset, source):
    program = Path(sys.executable).with_name("bids-validator-deno")
    if not program.exists() and shutil.which("bids-validator-deno") is None:
        pytest.skip("bids-validator-deno is not installed")
    (dataset.root / "sub-01" / "func").mkdir(parents=True)
    name = "sub-01_task-rest_space-MNI152NLin6Asym_res-2_contrast-x_stat-z_desc-synthetic_statmap"
    (dataset.root / "sub-01" / "func" / f"{name}.json").write_text("{}")
    (dataset.root / "logs").mkdir()
    (dataset.root / "logs" / "x.toml").write_text("")
    dataset.describe(source, words("Synthetic maps. " * 20))
    dataset.update_participants()
    command = [
        str(program) if program.exists() else program.name,
        "--json",
        str(dataset.root),
    ]
    result = subprocess.run(command, capture_output=True, timeout=120, check=False)
    issues = json.loads(result.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue.get("severity") == "error"]
    assert errors == []


def test_temporaries_of_killed_processes_leave_the_shared_folders(dataset):
    temporary = dataset.root / temporary_name()
    gone = temporary.name.replace(f"-{os.getpid()}-", "-99999999-")
    places = ["", "group", "logs", "logs/complete"]
    for place in places:
        (dataset.root / place).mkdir(exist_ok=True)
        (dataset.root / place / gone).touch()
    (dataset.root / "sub-01").mkdir()
    (dataset.root / "sub-01" / gone).touch()
    temporary.touch()
    dataset.remove_stale_temporaries()
    temporaries = [
        path.relative_to(dataset.root).as_posix()
        for path in dataset.root.rglob(".dtg-*")
    ]
    assert sorted(temporaries) == sorted([temporary.name, f"sub-01/{gone}"])
