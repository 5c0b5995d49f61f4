"""``--help``: one screen, all options, or what a workflow or an analysis reads."""

from __future__ import annotations

import re

import pytest

from bids_dtg.cli import demo, models, phantom
from bids_dtg.cli.parser import EVERYDAY, build_parser
from bids_dtg.cli.run import main
from bids_dtg.settings import OPTIONS
from bids_dtg.workflows import WORKFLOWS, all_workflows

ANALYSES = [(row.name, name) for row in all_workflows() for name in row.analyses]
TOPICS = [*((name, None) for name in WORKFLOWS), *ANALYSES]
CHOOSE = {"bids_dir", "output_dir", "analysis_level", "workflow", "analysis"}


def page(capsys, *words: str) -> str:
    """Return what is printed; the program ends with 0 and nothing on stderr."""
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def of(workflow: str, analysis: str | None) -> list[str]:
    return ["--workflow", workflow, *(["--analysis", analysis] if analysis else []), "--help"]


def flags_in(text: str) -> set[str]:
    """Return the options that a page describes, each by its last flag."""
    found = re.findall(r"(?m)^  (?:-\w [^-]*|-\w, )?(--[a-z-]+)", text)
    return {flag.removeprefix("--").replace("-", "_") for flag in found} & OPTIONS.keys()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_one_screen(capsys, flag):
    lines = page(capsys, flag).splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    options = lines[lines.index("options that most calls need:") :]
    shown = flags_in("\n".join(options[: options.index("the rest:")]))
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
    assert len(text.splitlines()) <= 220
    assert text == build_parser().format_help()
    assert flags_in(text) >= OPTIONS.keys() - {"bids_dir", "output_dir", "analysis_level"}
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
    read = set().union(*(flags_in(page(capsys, *of(*topic))) for topic in TOPICS))
    assert read == OPTIONS.keys() - CHOOSE


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
    assert "(default: 1000; with --analysis intervene 200)" in whole


def test_the_group_level_has_the_options_of_all_its_analyses(capsys):
    text = page(capsys, "x", "y", "group", "--workflow", "dynamics", "--help")
    usage = "usage: bids_dtg BIDS_DIR OUTPUT_DIR group --workflow dynamics [--analysis NAME]"
    assert text.startswith(usage)
    for flag in ("--restarts", "--simulations", "--permutations", "--input-arrays"):
        assert flag in text
    assert "--atlases" not in text
