"""The command `dtg-phantom`: a simulated cohort, written as datasets.

Exit codes: 0 done; 1 the datasets cannot be written; 2 wrong arguments; 70
internal error; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bids_dtg.cli.exits import Parser, call, require_new
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.errors import SettingsError
from bids_dtg.notices import run_program
from bids_dtg.workflows import DEFAULT, Phantom, all_workflows

_MOST_PARTICIPANTS = 999  # labels have three digits


def _epilog(phantoms: Mapping[str, Phantom]) -> str:
    """Return what each phantom consists of, for ``--help``."""
    parts = [f"With --workflow {name}:\n{row.files}\n" for name, row in phantoms.items()]
    note = (
        "The same options give the same files. Nobody real is in them: for trying out,\n"
        "teaching and testing only.\n"
    )
    return "\n".join([*parts, note])


def phantoms() -> Mapping[str, Phantom]:
    """Return the phantoms, by the workflows that have one."""
    return {row.name: row.phantom for row in all_workflows() if row.phantom is not None}


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    rows = phantoms()
    parser = Parser(
        prog="dtg-phantom",
        description="Simulate people with a known truth: rest, and what a workflow needs.",
        epilog=_epilog(rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make, new or empty")
    parser.add_argument(
        "--workflow",
        choices=tuple(rows),
        default=DEFAULT,
        help="whose input is simulated: "
        + "; ".join(f"{name}: {row.help}" for name, row in rows.items())
        + f" (default: {DEFAULT})",
    )
    parser.add_argument(
        "--participants", type=int, default=3, metavar="N", help="how many people (default: 3)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="another one, another population "
        "(default: 0, on which the demo model was trained with other people)",
    )
    parser.add_argument(
        "--frames", type=int, default=300, metavar="N", help="frames of the run (default: 300)"
    )
    parser.add_argument(
        "--repetition-time",
        type=float,
        default=1.5,
        metavar="SECONDS",
        help="seconds a frame (default: 1.5)",
    )
    parser.add_verbose()
    parser.add_version()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-phantom`` and return its exit code."""
    arguments = build_parser().parse_args(argv)

    def action() -> int:
        _check(arguments)
        try:
            phantoms()[arguments.workflow].write(arguments)
        except ValueError as err:
            raise SettingsError(f"--frames and --repetition-time: {err}") from err
        return 0

    kept = "finished participants are kept"
    return call("dtg-phantom", action, debug=arguments.verbose > 1, interrupted=kept)


def run() -> NoReturn:
    """Run ``dtg-phantom`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-phantom", main)


def _check(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.participants <= _MOST_PARTICIPANTS:
        raise SettingsError(
            f"--participants {arguments.participants}", expected=f"1 to {_MOST_PARTICIPANTS}"
        )
    if arguments.seed < 0:
        raise SettingsError(f"--seed {arguments.seed}", expected="0 or more")
    require_new(arguments.out)


if __name__ == "__main__":
    run()
