"""The command line of ``dtg-demo``: a workflow on simulated people, beside the truth."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bids_dtg.cli.exits import EXIT_FAILED, Parser, call, require_new
from bids_dtg.engine.machine import available_cores, limit_threads, wait_asleep
from bids_dtg.errors import SettingsError
from bids_dtg.files.paths import check_temporary_folder
from bids_dtg.notices import run_program
from bids_dtg.workflows import DEFAULT, Demo, all_workflows


def _epilog(demos: Mapping[str, Demo]) -> str:
    """Return what each demo makes, for ``--help``."""
    rows = {
        f"{name}{' --published' * published}": row
        for name, own in demos.items()
        for published, row in ((False, own), (True, own.published))
        if row is not None
    }
    parts = [
        f"With --workflow {name}{f' ({row.needs})' if row.needs else ''}:\n{row.files}\n"
        for name, row in rows.items()
    ]
    return "\n".join([*parts, "Nobody real is in it, and the demo model is not for science.\n"])


def demos() -> Mapping[str, Demo]:
    """Return the demos, by the workflows that have one."""
    return {row.name: row.demo for row in all_workflows() if row.demo is not None}


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    rows = demos()
    parser = Parser(
        prog="dtg-demo",
        description="Simulate people, run a workflow of bids_dtg on them, and compare what\n"
        "it makes with the truth.",
        epilog=_epilog(rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make, new or empty")
    parser.add_argument(
        "--workflow",
        choices=tuple(rows),
        default=DEFAULT,
        help="; ".join(f"{name}: {row.help}" for name, row in rows.items())
        + f" (default: {DEFAULT})",
    )
    defaults = ", ".join(f"{row.people} with {name}" for name, row in rows.items())
    parser.add_argument(
        "--participants", type=int, metavar="N", help=f"how many people (default: {defaults})"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help=f"of all random numbers (--workflow {', '.join(_seeded(rows))}; default: 0)",
    )
    parser.add_argument(
        "--broken-run",
        action="store_true",
        help="cut the last participant's run in half, to see how a failure looks "
        f"(--workflow {', '.join(_reading_runs(rows))})",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help=f"instead the published model (--workflow {', '.join(_with_published(rows))})",
    )
    parser.add_verbose()
    parser.add_version()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-demo`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    row = demos()[arguments.workflow]
    if arguments.published:
        row = row.published or row  # `_check` refuses it where there is none
    limit_threads(row.cores or available_cores())

    def action() -> int:
        participants = row.people if arguments.participants is None else arguments.participants
        _check(arguments, participants, row)
        check_temporary_folder()
        return EXIT_FAILED if row.run(arguments.out, participants, arguments) else 0

    kept = "what is complete is kept"
    return call("dtg-demo", action, debug=arguments.verbose > 1, interrupted=kept)


def run() -> NoReturn:
    """Run ``dtg-demo`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-demo", main)


def _seeded(rows: Mapping[str, Demo]) -> list[str]:
    return [name for name, row in rows.items() if row.seeded]


def _reading_runs(rows: Mapping[str, Demo]) -> list[str]:
    return [name for name, row in rows.items() if row.reads_runs]


def _with_published(rows: Mapping[str, Demo]) -> list[str]:
    return [name for name, row in rows.items() if row.published is not None]


def _check(arguments: argparse.Namespace, participants: int, row: Demo) -> None:
    if arguments.broken_run and not row.reads_runs:
        raise SettingsError(
            f"--broken-run was given with --workflow {arguments.workflow}, which reads no runs",
            expected=f"--workflow {' or '.join(_reading_runs(demos()))}",
        )
    published = _with_published(demos())
    if arguments.published and arguments.workflow not in published:
        raise SettingsError(
            f"--published was given with --workflow {arguments.workflow}, which has one form alone",
            expected=f"--workflow {' or '.join(published)}",
        )
    if arguments.seed is not None and (arguments.seed < 0 or not row.seeded):
        raise SettingsError(
            f"--seed is {arguments.seed} with --workflow {arguments.workflow}",
            expected=f"a number from 0, with --workflow {' or '.join(_seeded(demos()))}",
        )
    if not row.fewest <= participants <= row.most:
        expected = f"{row.fewest} to {row.most}"
        raise SettingsError(f"--participants is {participants}", expected=expected)
    require_new(arguments.out)


if __name__ == "__main__":
    run()
