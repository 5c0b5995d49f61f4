"""The command `dtg-demo`: run a workflow on simulated people and compare with the truth."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bids_dtg.cli.exits import EXIT_FAILED, Parser, call
from bids_dtg.engine.machine import available_cores, limit_threads, wait_asleep
from bids_dtg.errors import SettingsError
from bids_dtg.files.paths import check_temporary_folder
from bids_dtg.notices import duration, run_program, say
from bids_dtg.workflows import DEFAULT, Simulation, all_workflows


def parser_of_people(
    program: str,
    description: str,
    rows: Mapping[str, Simulation],
    files: Mapping[str, str],
    note: str,
) -> Parser:
    """Return the parser, with OUT and ``--workflow``, of a program that simulates people.

    Parameters
    ----------
    program, description
        Its name, and what it does.
    rows
        What it does with each workflow.
    files
        What it makes below OUT, by the name of the workflow as typed.
    note
        Last lines of its help.
    """
    parts = [f"With --workflow {typed}:\n{lines}\n" for typed, lines in files.items()]
    parser = Parser(
        prog=program,
        description=description,
        epilog="\n".join([*parts, note]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words = "; ".join(f"{name}: {row.help}" for name, row in rows.items())
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to make, new or empty"
    )
    parser.add_argument(
        "--workflow",
        choices=tuple(rows),
        default=DEFAULT,
        help=f"{words} (default: {DEFAULT})",
    )
    return parser


def check_people(row: Simulation, arguments: argparse.Namespace) -> None:
    """Refuse an impossible number of people, a negative seed, and a folder that is not empty.

    Raises
    ------
    SettingsError
        One of these was found.
    """
    out, participants = arguments.out, arguments.participants
    if not row.fewest <= participants <= row.most:
        expected = f"{row.fewest} to {row.most}"
        raise SettingsError(f"--participants is {participants}", expected=expected)
    if arguments.seed < 0:
        raise SettingsError(f"--seed is {arguments.seed}", expected="0 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(
            f"OUT {out} exists and is not empty", remedy="choose a new folder"
        )


def demos() -> Mapping[str, Simulation]:
    """Return the demos, by the workflows that have one."""
    return {row.name: row.demo for row in all_workflows() if row.demo is not None}


def _taking(flag: str) -> list[str]:
    """Return the workflows whose demos have an option."""
    return [name for name, row in demos().items() if flag in row.takes]


def build_parser() -> argparse.ArgumentParser:
    """Build the parser, without heavy imports."""
    rows = demos()
    files = {}
    for name, demo in rows.items():
        for typed, row in ((name, demo), (f"{name} --published", demo.published)):
            if row is not None:
                needs = f" ({row.needs})" if row.needs else ""
                files[f"{typed}{needs}"] = row.files
    parser = parser_of_people(
        "dtg-demo",
        "Simulate people, run a workflow on them, and compare with the truth.",
        rows,
        files,
        "All people are simulated, and the demo model is not for science.\n",
    )
    defaults = ", ".join(f"{row.people} with {name}" for name, row in rows.items())
    parser.add_argument(
        "--participants",
        type=int,
        metavar="N",
        help=f"how many people (default: {defaults})",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help=f"seed (--workflow {', '.join(_taking('--seed'))}; default: 0)",
    )
    parser.add_argument(
        "--broken-run",
        action="store_true",
        help="cut the last participant's run in half, to show what a failure looks like "
        f"(--workflow {', '.join(_taking('--broken-run'))})",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help=f"use the published model instead (--workflow {', '.join(_taking('--published'))})",
    )
    parser.add_usual()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-demo`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    row = demos()[arguments.workflow]
    if arguments.published:
        row = row.published or row  # where there is none, the option is refused below
    limit_threads(row.cores or available_cores())

    def action() -> int:
        for flag in ("--seed", "--broken-run", "--published"):
            value = vars(arguments)[flag.lstrip("-").replace("-", "_")]
            if value and arguments.workflow not in _taking(flag):
                raise SettingsError(
                    f"{flag} was given with --workflow {arguments.workflow}",
                    expected=f"--workflow {' or '.join(_taking(flag))}",
                )
        if arguments.participants is None:
            arguments.participants = row.people
        check_people(row, arguments)
        check_temporary_folder()
        start = time.perf_counter()
        failed = row.run(arguments)
        say(f"done in {duration(time.perf_counter() - start)}")
        return EXIT_FAILED if failed else 0

    debug, interrupted = arguments.verbose > 1, "finished results are kept"
    return call("dtg-demo", action, debug=debug, interrupted=interrupted)


def run() -> NoReturn:
    """Run ``dtg-demo`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-demo", main)
