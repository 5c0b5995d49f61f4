"""The command ``bids_dtg``: turn arguments into settings, and run a workflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from bids_dtg.cleaning.strategies import resolve
from bids_dtg.cli.exits import EXIT_FAILED, Parser, call
from bids_dtg.cli.parser import (
    Topic,
    add_spellings,
    build_parser,
    find_topic,
    folders_taken,
    overview,
    values_of,
    with_hyphens,
)
from bids_dtg.engine.machine import (
    allowed_cores,
    given_threads,
    limit_threads,
    wait_asleep,
)
from bids_dtg.errors import SettingsError
from bids_dtg.files.paths import check_temporary_folder
from bids_dtg.notices import run_program, say
from bids_dtg.settings import FIELDS, Settings, read_options
from bids_dtg.workflows import (
    DEFAULT,
    Run,
    Workflow,
    all_workflows,
    find_workflow,
    later,
)


def chosen_run(workflow: Workflow, settings: Settings) -> Run:
    """Return the function of a workflow that the options ask for.

    Raises
    ------
    SettingsError
        The workflow has no such level, analysis or recipe, or the analysis lacks an option.
    """
    name, level = settings.modelling.analysis, settings.inputs.analysis_level
    for option, legal in workflow.rows.items():
        value = settings.options[option]
        if value is not None and legal and value not in legal:
            workflows = [
                row.name for row in all_workflows() if value in row.rows[option]
            ]
            remedy = f"--workflow {' or '.join(workflows)} has --{option} {value}"
            raise SettingsError(
                f"--{option} {value} was given with --workflow {workflow.name}",
                expected=f"one of {', '.join(legal)}",
                remedy=remedy if workflows else "",
            )
    if level == "group" and name is None and workflow.group is None:
        raise SettingsError(
            f"--workflow {workflow.name} was given with group and no --analysis",
            expected=f"group --analysis {'|'.join(workflow.analyses)}",
        )
    if name is not None:
        _require_model(workflow, name, settings)
        _require_number_of_folds(workflow, name, settings)
        return workflow.analyses[name].run
    if level == "group":
        assert workflow.group is not None
        return workflow.group
    if settings.behaviour.list_participants:
        return later("inputs.dataset:print_participants")
    if settings.behaviour.reports_only:
        return later("participants.reports:remake_reports")
    if settings.behaviour.verify:
        return later("participants.reports:verify_participants")
    return workflow.participants


def _require_model(workflow: Workflow, name: str, settings: Settings) -> None:
    row = workflow.analyses[name]
    if row.instead_of_model and settings.options[row.instead_of_model] is not None:
        return
    if row.needs_model and settings.inputs.model is None:
        instead = f", or --{row.instead_of_model}" if row.instead_of_model else ""
        trained = f"a model trained by --workflow {workflow.name} --analysis train"
        raise SettingsError(
            f"--workflow {workflow.name} --analysis {name} was given without --model",
            expected=f"{row.expects or trained}{instead}",
        )


def _require_number_of_folds(workflow: Workflow, name: str, settings: Settings) -> None:
    if settings.statistics.folds == "halves" and not workflow.analyses[name].halves:
        with_halves = [
            f"--workflow {row.name} --analysis {analysis}"
            for row in all_workflows()
            for analysis, analysis_row in row.analyses.items()
            if analysis_row.halves
        ]
        raise SettingsError(
            "--folds is halves", expected=f"a number, or {' or '.join(with_halves)}"
        )


def run_workflow(settings: Settings) -> int:
    """Run a workflow, as ``bids_dtg`` does.

    Parameters
    ----------
    settings
        All options of the run.

    Returns
    -------
    int
        Exit code: 0 when all work is done, 1 when a participant failed or a page could not be made.

    Raises
    ------
    DtgError
        Options, dataset or model are wrong; nothing was started.

    Examples
    --------
    >>> from pathlib import Path
    >>> settings = Settings.of(
    ...     bids_dir=Path("nowhere"), output_dir=Path("out"), analysis_level="participant"
    ... )
    >>> from bids_dtg.errors import DatasetError
    >>> try:
    ...     run_workflow(settings)
    ... except DatasetError as err:
    ...     print(err.found.rpartition("/")[2])
    nowhere does not exist
    """
    from bids_dtg.bundles.store import model_of_output, refuse_model_folder
    from bids_dtg.files.derivatives import refuse_other_workflow
    from bids_dtg.inputs.dataset import name_folder

    workflow = find_workflow(settings.inputs.workflow)
    run = chosen_run(workflow, settings)
    resolve(settings.cleaning, settings.inputs.input_type)  # refuses contradictions
    if not settings.behaviour.list_participants:  # which writes nothing
        refuse_other_workflow(settings.inputs.output_dir, workflow.name)
        refuse_model_folder(settings.inputs.output_dir)
    if run is workflow.participants:  # analyses may not need BIDS_DIR
        name_folder(settings.inputs.bids_dir)  # before imports that take a second
    threads = given_threads(settings.resources) or allowed_cores(settings.resources)
    limit_threads(threads)
    check_temporary_folder()
    # A model trained in OUTPUT_DIR is used by its name, like an installed one.
    inputs = settings.inputs
    if inputs.model is not None:
        trained_here = model_of_output(inputs.model, inputs.output_dir)
        if trained_here is not None:
            settings = settings.replace(model=str(trained_here))
    return EXIT_FAILED if run(settings) else 0


def _deciding_options(words: Sequence[str]) -> dict[str, Any]:
    """Return what decides how the rest is parsed: workflow, analysis, config file, help, -v."""
    parser = Parser(prog="bids_dtg", add_help=False, allow_abbrev=False)
    optional: dict[str, Any] = {"nargs": "?", "default": argparse.SUPPRESS}
    parser.add_argument("--workflow", **optional)
    parser.add_argument("--analysis", **optional)
    parser.add_argument("--config-file", "--config_file", type=Path, **optional)
    parser.add_argument("-v", "--verbose", action="count", default=0)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--help-all", "--help_all", action="store_true")
    return vars(parser.parse_known_args(words)[0])


def _parse(
    words: Sequence[str], topic: Topic | None, *, may_lack_places: bool
) -> dict[str, Any]:
    """Return the typed values by the names of options; end the program where words are wrong."""
    parser = build_parser(topic)
    add_spellings(parser)
    words = with_hyphens(words, parser, topic)
    parser.taken = folders_taken(words, parser)
    if not may_lack_places:
        return vars(parser.parse_args(words))
    # A file may give the positional arguments, and a list of participants needs only one. Only this
    # way does argparse accept optional ones between options.
    for action in parser._actions:
        if not action.option_strings:
            action.nargs = "?"
            action.required = False
            action.default = None
    typed = vars(parser.parse_intermixed_args(words))
    return {name: value for name, value in typed.items() if value is not None}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``bids_dtg`` and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    deciding = _deciding_options(words)
    if deciding["help"] or deciding["help_all"]:
        level = "group" if "group" in words else "participant"
        topic = None
        if not deciding["help_all"]:
            topic = find_topic({**deciding, "analysis_level": level})
        whole = deciding["help_all"] or topic is not None
        sys.stdout.write(build_parser(topic).format_help() if whole else overview())
        return 0

    def action() -> int:
        file = deciding.get("config_file")
        configured = read_options(file, values_of()) if file else {}
        topic = find_topic({"workflow": DEFAULT, **configured, **deciding})
        lists_people = bool({"--list-participants", "--list_participants"} & {*words})
        may_lack_places = lists_people or file is not None
        typed = _parse(words, topic, may_lack_places=may_lack_places)
        if lists_people and "bids_dir" in typed:
            typed.setdefault("output_dir", typed["bids_dir"])  # not used
            typed.setdefault("analysis_level", "participant")
        ignored = [*typed.pop("ignored", ())]
        typed.pop("config_file", None)
        if topic is not None:
            unread = configured.keys() - topic.workflow.reads(topic.analysis)
            ignored += [
                f"{name} of {file}"
                for name in sorted(unread)
                if configured.pop(name) != FIELDS[name].default
            ]
        settings = Settings.of(**{**configured, **typed})
        if ignored:
            say(
                f"bids_dtg: note: without effect here: {', '.join(dict.fromkeys(ignored))}"
            )
        return run_workflow(settings)

    interrupted = "finished participants are kept"
    if "group" in words:
        interrupted = "run it again to resume"
    debug = deciding["verbose"] > 1
    return call("bids_dtg", action, debug=debug, interrupted=interrupted)


def run() -> NoReturn:
    """Run ``bids_dtg`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("bids_dtg", main)
