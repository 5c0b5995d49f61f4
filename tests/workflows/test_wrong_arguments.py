"""Wrong arguments: one line, exit 2, nothing written; and what the line names."""

from __future__ import annotations

import pytest
from study_folders import add_hcp_run
from tiny_job import TinyJob, add_rest, tiny_bold

from bids_dtg.cli.run import build_parser, main
from bids_dtg.engine.machine import available_cores

NOWHERE = "--{} is '{}', which no run in {{bids}} has. Expected: {}."


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ("01", "02"))


def refused(job: TinyJob, capsys, *words: object) -> str:
    """Run with wrong words; return the one line that tells."""
    capsys.readouterr()
    try:
        code = job.run(*words)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, ""), captured
    assert not job.out.exists()
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--run", ""], "'' is not a label of the BIDS entity 'run'"),
        (["--task-id", "../x"], "'../x' is not a label of the BIDS entity 'task'"),
        (["--session-label", "a b"], "'a b' is not a label of the BIDS entity 'ses'"),
        (["--mem-gb", "0.2"], "one process of this call may take 0.35 GB. Expected: 0.4 or more"),
        (["--dummy-scans", "1" * 5000], "Expected: auto or a whole number"),
        (["--device", f"cuda:{'1' * 5000}"], "Expected: auto, cpu, cuda, cuda:N or mps"),
        (["--seed", "-1"], "--seed is -1. Expected: 0 or more, below 2^63"),
        (["--custom-confounds", ""], "--custom-confounds is ''. Expected: a path"),
        (["-d", "fmriprep=~nosuchuser/x"], "'~nosuchuser/x', and there is no such home folder"),
        (["--participant-label", "sub-01,sub-02"], "To do: --participant-label sub-01 sub-02."),
        (["--participant-label", "sim01"], "To do: --participant-label 01, or leave it out for"),
        (
            ["--output-spaces", "fsLR"],
            "--output-spaces has 'fsLR', which is a mesh. Expected: of MNI152NLin2009cAsym[:res-2]",
        ),
        (["--output-spaces", "fsaverage5"], "To do: --surfaces fsaverage writes the maps on it."),
        (
            ["--output-spaces", "mni152nlin6asym"],
            "To do: did you mean MNI152NLin6Asym? Upper and lower case count.",
        ),
        (["--surfaces", "fslr"], "To do: did you mean fsLR? Upper and lower case count."),
        (["--atlases", "Glasser"], "To do: write the maps on its mesh with --surfaces fsLR, and"),
        (["--atlases", "Schafer400"], "To do: did you mean Schaefer400?"),
    ],
)
def test_wrong_values_start_nothing(job, capsys, words, told):
    assert told in refused(job, capsys, *words)


@pytest.mark.slow
def test_huge_numbers_are_no_fault(job, capsys):
    add_rest(job.bids, "02", entities="run-1")
    assert job.run("--mem-gb", "1e308", "--dry-run") == 0
    assert ", which no run in " in refused(job, capsys, "--run", "1" * 5000)


@pytest.mark.parametrize("flag", ["--omp-nthreads", "--nprocs"])
def test_more_than_a_machine_can_serve_is_lowered(job, capsys, flag):
    most = 4 * available_cores()
    assert job.run("--dry-run", flag, "100000") == 0
    note = f"note: {flag} 100000 is more than 4 times the"
    (line,) = [line for line in capsys.readouterr().err.splitlines() if note in line]
    assert line.endswith(f" here: {most} are used")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--task-id", "rset"], NOWHERE.format("task-id", "rset", "one of rest, movie")),
        (["--session-label", "B"], NOWHERE.format("session-label", "B", "A")),
        (["--run", "7"], NOWHERE.format("run", "7", "1")),
        (
            ["--space", "MNI152NLin6asym"],
            NOWHERE.format("space", "MNI152NLin6asym", "MNI152NLin6Asym:res-2"),
        ),
        (["--space", "MNI152NLin6Asym:res-1"], "which no run in {bids} has"),
    ],
)
def test_a_label_that_no_run_has_is_refused_at_once(job, capsys, words, told):
    add_rest(job.bids, "02", session="A", entities="run-1")
    add_rest(job.bids, "02", task="movie", parts=("bold",))
    assert told.format(bids=job.bids) in refused(job, capsys, *words)


@pytest.mark.parametrize("asked", ["T1w", "fsaverage5", "fsLR", "boldref", "MNIInfant"])
def test_spaces_are_offered_where_a_run_can_be_read_in_them(job, capsys, asked):
    """Others hold a sidecar alone, a surface, CIFTI, another task, or what is not preprocessed."""
    func = job.bids / "sub-01" / "func"
    add_rest(job.bids, space="T1w", parts=("json",))
    add_rest(job.bids, task="movie", res="1", parts=("bold",))
    add_rest(job.bids, space="MNI152NLin2009cAsym", parts=("bold",))
    for name in (
        "hemi-L_space-fsaverage5_bold.func.gii",
        "space-fsLR_den-91k_bold.dtseries.nii",
        "space-MNIInfant_desc-smoothAROMAnonaggr_bold.nii.gz",
    ):
        (func / f"sub-01_task-rest_{name}").write_bytes(b"")
    there = "one of MNI152NLin2009cAsym:res-2, MNI152NLin6Asym:res-2"
    told = NOWHERE.format("space", asked, there).format(bids=job.bids)
    assert told in refused(job, capsys, "--space", asked)


def test_a_label_of_nobody_where_names_have_none(job, capsys):
    told = refused(job, capsys, "--run", "1")
    assert told.endswith("has. To do: leave --run out.")


def test_a_participant_without_a_label_that_others_have_fails_alone(job, capsys):
    add_rest(job.bids, "02", session="B")
    assert job.run("--session-label", "B", "--dry-run", "--participant-label", "01") == 1
    out = capsys.readouterr().out
    assert "sub-01: would fail: sub-01 has no session B" in out
    assert out.endswith("1 participant, 1 would fail; no output was written\n")


def test_a_label_that_no_run_of_a_study_has(job, capsys):
    job.bids = job.folder / "hcp"
    add_hcp_run(job.bids, bold=tiny_bold())
    assert "Expected: rest." in refused(job, capsys, "--task-id", "rset")
    assert "Expected: 1." in refused(job, capsys, "--run", "3")
    told = "an HCP folder is read in MNI152NLin6Asym. To do: leave --space out."
    assert all(refused(job, capsys, "--space", asked).endswith(told) for asked in ("T1w", "fsLR"))


def test_a_misspelt_filter_key_is_refused(job, capsys):
    filters = job.folder / "filter.json"
    filters.write_text('{"bold": {"spac": "T1w"}}')
    told = refused(job, capsys, "--bids-filter-file", filters)
    assert "filter.json: 'bold.spac' is not known. Expected: 'bold.space'" in told


def test_an_output_folder_of_no_name_is_refused(job, capsys, monkeypatch):
    monkeypatch.chdir(job.folder)
    before = sorted(job.folder.iterdir())
    assert main([str(job.bids), "", "participant", "--model", str(job.model)]) == 2
    assert "OUTPUT_DIR is ''. Expected: a path" in capsys.readouterr().err
    assert sorted(job.folder.iterdir()) == before


@pytest.mark.parametrize("above", ["..", "../.."])
def test_an_output_folder_that_holds_the_input_is_refused(tmp_path, capsys, above):
    job = TinyJob(tmp_path / "deep", ("01",))
    place = (job.bids / above).resolve()
    assert job.run(out=place) == 2
    told = capsys.readouterr().err
    assert f"OUTPUT_DIR {place} holds the input {job.bids}" in told
    assert not (place / "dataset_description.json").exists()


@pytest.mark.parametrize("below", ["", "maps"])
def test_an_output_folder_in_the_model_s_is_refused(job, capsys, below):
    link = job.folder / "link"
    link.symlink_to(job.model)
    held = sorted(job.model.rglob("*"))
    assert job.run(out=link / below) == 2
    place = (job.model / below).resolve()
    told = f"OUTPUT_DIR {place} is in the model's folder {job.model.resolve()}"
    assert told in capsys.readouterr().err
    assert sorted(job.model.rglob("*")) == held


def test_the_folder_above_a_bundle_names_the_bundle(job, capsys):
    above = job.folder / "model-own"
    above.mkdir()
    job.model.rename(above / "bundle")
    job.model = above
    told = refused(job, capsys)
    assert told.endswith(f"has no model.json. To do: the bundle is inside it: {above}/bundle.")


def test_a_space_in_another_case_is_named(job, capsys):
    told = refused(job, capsys, "--space", "MNI152NLin6asym")
    assert told.endswith("To do: did you mean MNI152NLin6Asym? Upper and lower case count.")
    assert "To do: did you mean rest?" in refused(job, capsys, "--task-id", "rset")


def test_help_shows_defaults_as_they_are_typed():
    text = " ".join(build_parser().format_help().split())
    for fact in (
        "(default: 0.1 0.1; of linear",
        "and the simulations (default: 0)",
        "(default: 20.0)",
    ):
        assert fact in text
    assert "default: (" not in text
    assert "more detail (default" not in text


def test_one_of_a_thing_is_one(job, capsys):
    assert job.run("--dry-run", "--participant-label", "01") == 0
    assert "1 participant, 0 would fail" in capsys.readouterr().out
    assert "(2 participants there)" in refused(job, capsys, "--participant-label", "09")
