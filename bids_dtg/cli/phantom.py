"""The command `dtg-phantom`: write datasets of simulated people with a known truth."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import NoReturn

from bids_dtg.cli.demo import check_people, parser_of_people
from bids_dtg.cli.exits import call
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.errors import SettingsError
from bids_dtg.notices import run_program
from bids_dtg.workflows import Simulation, all_workflows


def phantoms() -> Mapping[str, Simulation]:
    """Return the phantoms, by the workflows that have one."""
    return {row.name: row.phantom for row in all_workflows() if row.phantom is not None}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser, without heavy imports."""
    parser = parser_of_people(
        "dtg-phantom",
        "Simulate people with a known truth, as resting runs and what a workflow needs.",
        phantoms(),
        {name: row.files for name, row in phantoms().items()},
        "The same options give the same files. All people are simulated; use them only\n"
        "for trying out, teaching and testing.\n",
    )
    for flag, default, metavar, words in (
        ("--participants", 3, "N", "how many people (default: 3)"),
        (
            "--seed",
            0,
            "S",
            "seed of the population (default: 0; the demo model was trained on other people of "
            "that population, and suits no other)",
        ),
        ("--frames", 300, "N", "frames of the run (default: 300)"),
        ("--repetition-time", 1.5, "SECONDS", "seconds per frame (default: 1.5)"),
    ):
        parser.add_argument(
            flag, type=type(default), default=default, metavar=metavar, help=words
        )
    parser.add_usual()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-phantom`` and return its exit code."""
    arguments = build_parser().parse_args(argv)

    def action() -> int:
        row = phantoms()[arguments.workflow]
        check_people(row, arguments)
        try:
            row.run(arguments)
        except ValueError as err:
            raise SettingsError(f"--frames and --repetition-time: {err}") from err
        return 0

    debug, interrupted = arguments.verbose > 1, "finished participants are kept"
    return call("dtg-phantom", action, debug=debug, interrupted=interrupted)


def run() -> NoReturn:
    """Run ``dtg-phantom`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-phantom", main)


if __name__ == "__main__":
    run()
