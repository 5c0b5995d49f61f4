"""The command line of ``dtg-demo``: the participant level on simulated people, beside the truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bids_dtg.cli.exits import EXIT_FAILED, Parser, call
from bids_dtg.engine.machine import available_cores, limit_threads
from bids_dtg.errors import SettingsError
from bids_dtg.files.temporary import check_temporary_folder
from bids_dtg.streams import run_program
from bids_dtg.version import __version__

_EPILOG = """\
OUT/simulated  the people: resting-state runs, measured and true maps
OUT/maps       what bids_dtg makes of their rest, as for a real dataset;
               begin with OUT/maps/index.html
OUT/demo.tsv   how well the maps match the truth, a row a contrast
OUT/demo.png   a map beside its truth

Nobody real is in it, and the demo model is not for science.
"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    parser = Parser(
        prog="dtg-demo",
        description="Simulate people, run bids_dtg on them with the demo model, and compare its "
        "maps with the truth.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make, new or empty")
    parser.add_argument(
        "--participants", type=int, default=3, metavar="N", help="how many people (default: 3)"
    )
    parser.add_argument(
        "--broken-run",
        action="store_true",
        help="cut the last participant's run in half, to see how a failure looks",
    )
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser.add_argument("--version", action="version", version=f"bids_dtg {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-demo`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    limit_threads(available_cores())

    def action() -> int:
        _check(arguments)
        check_temporary_folder()
        # Here, so that --help and wrong arguments are answered at once.
        from bids_dtg.workflows.demo import run_demo

        failed = run_demo(
            arguments.out, participants=arguments.participants, broken_run=arguments.broken_run
        )
        return EXIT_FAILED if failed else 0

    kept = "what is complete is kept"
    return call("dtg-demo", action, debug=arguments.debug, interrupted=kept)


def run() -> NoReturn:
    """Run ``dtg-demo`` as a program: end the process with its exit code."""
    run_program("dtg-demo", main)


def _check(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.participants <= 99:
        raise SettingsError(f"--participants is {arguments.participants}", expected="1 to 99")
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"OUT {out} is there and not empty", remedy="choose a new folder")


if __name__ == "__main__":
    run()
