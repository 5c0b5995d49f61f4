"""Other programs' spellings: what is understood, and what changes nothing."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest
from maps_job import TinyJob

from bids_dtg.cli import demo, models, phantom
from bids_dtg.cli.parser import EVERYDAY, add_spellings, build_parser, with_hyphens
from bids_dtg.cli.run import main
from bids_dtg.settings import OPTIONS, WORKFLOWS, read_options
from bids_dtg.workflows import all_workflows

ANALYSES = [(row.name, name) for row in all_workflows() for name in row.analyses]
TOPICS = [*((name, None) for name in WORKFLOWS), *ANALYSES]
CHOOSE = {"bids_dir", "output_dir", "analysis_level", "workflow", "analysis"}
PLACES = ["BIDS", "OUT", "participant"]
LONG = sorted(
    flag
    for option in OPTIONS.values()
    if option.group != "input"
    for flag in option.flags
    if flag.startswith("--")
)


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


def understood(*words: str) -> argparse.Namespace:
    """Parse words as the program does."""
    parser = build_parser()
    add_spellings(parser)
    return parser.parse_args(with_hyphens([*PLACES, *words], parser))


def refused(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*PLACES, *words])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def written_options(job: TinyJob) -> dict[str, object]:
    (config,) = job.out.glob("logs/*/config.toml")
    return read_options(config)


# --- the line that must be understood


@pytest.mark.slow
def test_a_line_of_somebody_who_knows_fmriprep(job):
    filters = job.folder / "f.json"
    filters.write_text('{"bold": {"suffix": "bold"}, "t1w": {"suffix": "T1w"}}')
    words = (
        f"{job.bids} {job.out} participant --participant_label 01 --skip_bids_validator "
        f"--n_cpus 2 --omp-nthreads 4 --mem_mb 32000 --notrack --bids_filter_file "
        f"{filters} --dummy-scans 2 --random-seed 1 --verbose -w {job.folder / 'work'} "
        f"--output-spaces MNI152NLin6Asym --model {job.model}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "bids_dtg.cli", *words.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (
        "warning: --omp-nthreads is 4, but --nprocs and this machine allow"
        in done.stderr
    )
    ignored = "--skip-bids-validator, --notrack, --random-seed, -w"
    assert f": {ignored}\n" in done.stderr
    assert len(list(job.out.rglob("*desc-synthetic_statmap.nii.gz"))) == 3
    options = written_options(job)
    assert (options["nprocs"], options["omp_nthreads"], options["mem_gb"]) == (
        2,
        4,
        32.0,
    )
    assert (options["dummy_scans"], options["verbose"]) == ("2", 1)
    assert options["participant_label"] == ("01",)
    assert options["output_spaces"] == ("MNI152NLin6Asym",)
    assert options["bids_filter_file"] == filters


# --- this program's own options


@pytest.mark.parametrize("flag", LONG)
def test_every_flag_may_be_typed_with_underscores(flag):
    parser = build_parser()
    typed = "--" + flag.removeprefix("--").replace("-", "_")
    assert with_hyphens([typed, f"{typed}=a_b"], parser) == [flag, f"{flag}=a_b"]
    assert typed == flag or typed not in parser.format_help()


def test_what_is_no_flag_keeps_its_underscores():
    words = ["--task_id", "my_task", "-t", "a_b", "--", "--task_id"]
    assert with_hyphens(words, build_parser()) == ["--task-id", *words[1:]]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("--participant-labels", "--participant-label"),
        ("--partic", "--participant-label"),
        ("--fd_treshold=0.5", "--fd-threshold"),
        ("--denoise-stategy", "--denoise-strategy"),
    ],
)
def test_an_unknown_option_names_near_ones(capsys, word, near):
    flag = word.partition("=")[0]
    assert f"there is no option {flag}; did you mean {near}?" in refused(
        capsys, word, "x"
    )


def test_an_option_of_other_programs_is_not_taken_for_one_of_these(capsys):
    message = refused(capsys, "--fs-license-file", "license.txt")
    assert "there is no option --fs-license-file (see" in message


def test_options_of_other_programs_with_several_values_are_read():
    parser = build_parser()
    add_spellings(parser)
    words = ["--subject-label", "01", "02", "--fs-subjects-dir", "fs", "-d", "xcpd=x"]
    typed = parser.parse_args(["in", "out", "participant", *words])
    assert typed.participant_label == ["01", "02"]
    assert typed.derivatives == ["freesurfer=fs", "xcpd=x"]


def test_an_option_that_took_the_folders_says_so(capsys):
    with pytest.raises(SystemExit):
        main(["--participant-label", "01", "in", "out", "participant"])
    message = capsys.readouterr().err
    took = "--participant-label took in out participant: type BIDS_DIR OUTPUT_DIR"
    assert took in message


def test_an_option_of_files_only_is_said_to_be_one(capsys):
    message = refused(capsys, "--features", "32")
    assert (
        "--features is not an option; in a --config-file, it is features = VALUE"
        in message
    )


# --- other programs'


@pytest.mark.slow
def test_aliases_reach_the_settings(job):
    words = (
        "--mem",
        "16G",
        "--fd-thresh",
        "0.45",
        "--denoise-strategy",
        "scrubbing",
        "-vv",
    )
    words += ("--min_time", "180", "--smoothing", "4", "--lower_bpf", "0.005")
    assert job.run(*words) == 0
    options = written_options(job)
    expected = {
        "mem_gb": 16.0,
        "fd_threshold": 0.45,
        "min_minutes": 3.0,
        "smoothing_fwhm": 4.0,
        "high_pass": 0.005,
        "verbose": 2,
    }
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize("flag", ["--nprocs", "--nthreads", "--n-cpus", "--n_cpus"])
def test_the_cores_of_all_processes_have_four_spellings(flag):
    assert understood(flag, "3").nprocs == "3"


@pytest.mark.parametrize("flag", ["--mem-gb", "--mem_mb"])
def test_memory_is_ignored_where_all_is_done_in_one_process(job, capsys, flag):
    words = [job.bids, job.out, "group", "--analysis", "stats", flag, "4"]
    assert main([str(word) for word in words]) == 2  # there are no results yet
    assert f"without effect here: {flag.replace('_', '-')}\n" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--skip_bids_validation", "--skip_bids_validator"])
def test_validation_is_ignored(flag):
    assert understood(flag).ignored == [flag.replace("_", "-")]


@pytest.mark.parametrize(
    ("flag", "text", "gigabytes"),
    [
        ("--mem", "32000", 32),
        ("--mem-mb", "500", 0.5),
        ("--mem", "2T", 2000),
        ("--mem", "8GB", 8),
    ],
)
def test_memory_is_in_megabytes_or_has_a_unit(flag, text, gigabytes):
    assert float(understood(flag, text).mem_gb) == gigabytes


@pytest.mark.parametrize("text", ["much", "-1", "3X", "1" * 5000])
def test_what_is_no_memory(capsys, text):
    line = "is not an amount of memory. Expected: megabytes, or e.g. 16G"
    assert line in refused(capsys, f"--mem={text}")


def test_what_is_no_time(capsys):
    assert "'long' is not a number of seconds" in refused(capsys, "--min-time", "long")


# --- a saved configuration


@pytest.mark.slow
def test_a_saved_configuration_runs_alone(job, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(job.folder)
    places = [
        Path(path).relative_to(job.folder) for path in (job.bids, job.out, job.model)
    ]
    words = [str(places[0]), str(places[1]), "participant", "--model", f"./{places[2]}"]
    assert (
        main([*words, "--no-reports", "--omp-nthreads", "1", "-d", str(places[0])]) == 0
    )
    (config,) = job.out.glob("logs/*/config.toml")
    monkeypatch.chdir("/")
    capsys.readouterr()
    assert main(["--config-file", str(config)]) == 0
    assert "0 sets of maps written, 1 already complete" in capsys.readouterr().err
    assert main([f"--config_file={config}", "--dry-run"]) == 0
    assert "complete, would be skipped" in capsys.readouterr().out
    # What is given wins, wherever it stands.
    second_output = str(tmp_path / "other")
    words = [
        "--no-reports",
        str(job.bids),
        "--config-file",
        str(config),
        second_output,
        "participant",
    ]
    assert main([*words, "--dry-run"]) == 0
    assert f"to {second_output}/sub-01/func" in capsys.readouterr().out


def test_a_configuration_that_lacks_places_names_them(capsys, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[cleaning]\nmin_minutes = 3\n")
    assert main(["in", "--config-file", str(config)]) == 2
    line = (
        "OUTPUT_DIR, ANALYSIS_LEVEL: neither on the command line nor in --config-file"
    )
    assert line in capsys.readouterr().err


# --- ``--help``: one screen, all options, or what a workflow or an analysis reads


def page(capsys, *words: str) -> str:
    """Return what is printed; the program ends with 0 and nothing on stderr."""
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def of(workflow: str, analysis: str | None) -> list[str]:
    return [
        "--workflow",
        workflow,
        *(["--analysis", analysis] if analysis else []),
        "--help",
    ]


def flags_in(text: str) -> set[str]:
    """Return the options that a page describes, each by its last flag."""
    flags = re.findall(r"(?m)^  (?:-\w [^-]*|-\w, )?(--[a-z-]+)", text)
    return {
        flag.removeprefix("--").replace("-", "_") for flag in flags
    } & OPTIONS.keys()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_one_screen(capsys, flag):
    lines = page(capsys, flag).splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    options = lines[lines.index("options that most runs need:") :]
    shown = flags_in("\n".join(options[: options.index("more help:")]))
    assert shown == EVERYDAY
    assert len(shown) == 15
    text = "\n".join(lines)
    assert len(re.findall("(?m)^  bids_dtg /", text)) == 3
    assert "--help-all" in text
    assert {name for _, name in ANALYSES} <= set(re.findall(r"[a-z-]+", text))
    assert "(default: contrasts)" in text


@pytest.mark.parametrize("before", [(), ("--analysis", "stats"), ("/b", "/o", "group")])
def test_help_all_has_every_option(capsys, before):
    text = page(capsys, *before, "--help-all")
    assert len(text.splitlines()) <= 240
    assert text == build_parser().format_help()
    assert flags_in(text) >= OPTIONS.keys() - {
        "bids_dir",
        "output_dir",
        "analysis_level",
    }
    assert "70 internal error" in text


@pytest.mark.parametrize("program", [demo, models, phantom])
def test_help_of_the_other_programs_is_one_screen(program, monkeypatch):
    monkeypatch.setenv("COLUMNS", "82")
    lines = program.build_parser().format_help().splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("workflow", "analysis"), TOPICS)
def test_help_of_an_analysis_has_what_it_reads_and_nothing_that_it_refuses(
    capsys, workflow, analysis
):
    text = page(capsys, *of(workflow, analysis))
    shown = flags_in(text)
    assert {"participant_label", "nprocs", "dry_run"} <= shown
    (row,) = (row for row in all_workflows() if row.name == workflow)
    assert shown == (row.reads(analysis) & OPTIONS.keys()) - CHOOSE


def test_every_option_is_read_by_somebody(capsys):
    documented = set().union(*(flags_in(page(capsys, *of(*topic))) for topic in TOPICS))
    assert documented == OPTIONS.keys() - CHOOSE


def test_defaults_are_those_of_the_workflow_and_the_analysis(capsys):
    def default(name: str, *topic: str | None) -> str:
        text = " ".join(page(capsys, *of(*topic)).split())
        # From Python 3.13 on, other names of an option follow before its value.
        return (
            re.split(rf"--{name}[ ,]", text, maxsplit=1)[1]
            .partition("(default: ")[2]
            .partition(")")[0]
        )

    assert default("epochs", "contrasts", "train") == "100"
    assert default("epochs", "dynamics", "train") == "that of --recipe"
    assert default("permutations", "twin", "intervene") == "200"
    assert default("permutations", "contrasts", "stats") == "1000"
    assert default("model-name", "contrasts", "evaluate") == "that of --model"
    whole = " ".join(build_parser().format_help().split())
    assert "(default: 1000; with --analysis intervene: 200)" in whole


def test_the_group_level_has_the_options_of_all_its_analyses(capsys):
    text = page(capsys, "x", "y", "group", "--workflow", "dynamics", "--help")
    usage = "usage: bids_dtg BIDS_DIR OUTPUT_DIR group --workflow dynamics [--analysis NAME]"
    assert text.startswith(usage)
    for flag in ("--restarts", "--simulations", "--permutations", "--input-arrays"):
        assert flag in text
    assert "--atlases" not in text
