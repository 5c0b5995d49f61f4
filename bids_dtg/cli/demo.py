"""The command line of ``dtg-demo``: a workflow on simulated people, beside the truth."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from bids_dtg.cli.exits import EXIT_FAILED, Parser, call
from bids_dtg.engine.machine import available_cores, limit_threads, wait_asleep
from bids_dtg.errors import SettingsError
from bids_dtg.files.temporary import check_temporary_folder
from bids_dtg.streams import run_program
from bids_dtg.version import __version__

_EPILOG = """\
With --workflow contrasts:
OUT/simulated  the people: resting-state runs, measured and true maps
OUT/maps       what bids_dtg makes of their rest, as for a real dataset;
               begin with OUT/maps/index.html
OUT/demo.tsv   how well the maps match the truth, a row a contrast
OUT/demo.png   a map beside its truth

With --workflow dynamics (needs the extra train; about two minutes of one core):
OUT/simulated  the people: networks.npz, as --input-arrays takes it, and the
               true parameters of regions (truth.tsv) and people (people.tsv)
OUT/demo.tsv   true and recovered parameters, a row a region of a person
OUT/demo.png   the same, functional connectivity and spectra

With --workflow twin (needs the extra train; about two minutes of one core):
OUT/simulated  the people: connectomes.npz, event files of a Stroop run (bids)
               and true parameters (truth.tsv)
OUT/demo.tsv   response times of unseen people: true, observed and predicted
OUT/demo.png   the same, their distribution, and a few trials

Nobody real is in it, and the demo model is not for science.
"""


@dataclass(frozen=True)
class DemoWorkflow:
    """A workflow that has a demo."""

    run: Callable[[argparse.Namespace, int], int]  # of how many people; returns how many failed
    people: int  # by default
    fewest: int
    most: int = 99
    seeded: bool = True  # whether it takes --seed
    cores: int | None = None  # that it can use; None: all there are


def _contrasts(arguments: argparse.Namespace, participants: int) -> int:
    from bids_dtg.contrasts.demo import run_demo

    return run_demo(arguments.out, participants=participants, broken_run=arguments.broken_run)


def _dynamics(arguments: argparse.Namespace, participants: int) -> int:
    from bids_dtg.dynamics.demo import run_network_demo

    run_network_demo(arguments.out, participants=participants, seed=arguments.seed or 0)
    return 0


def _twin(arguments: argparse.Namespace, participants: int) -> int:
    from bids_dtg.twin.demo import run_twin_demo

    run_twin_demo(arguments.out, participants=participants, seed=arguments.seed or 0)
    return 0


# Rows import what they run only when they are called: --help and wrong arguments are answered at
# once.
DEMOS: Mapping[str, DemoWorkflow] = MappingProxyType(
    {
        "contrasts": DemoWorkflow(_contrasts, people=3, fewest=1, seeded=False),
        # Each person's parameters are recovered by those of the others. Batches are so small that
        # a second core would only wait for the first.
        "dynamics": DemoWorkflow(_dynamics, people=8, fewest=2, cores=1),
        # A third of them are predicted from the others.
        "twin": DemoWorkflow(_twin, people=180, fewest=12, most=999, cores=1),
    }
)
_DEFAULT = "contrasts"


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    parser = Parser(
        prog="dtg-demo",
        description="Simulate people, run a workflow of bids_dtg on them, and compare what it "
        "makes with the truth.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make, new or empty")
    parser.add_argument(
        "--workflow",
        choices=tuple(DEMOS),
        default=_DEFAULT,
        help="contrasts: maps by the demo model; dynamics: a network model, fitted to people "
        "whose parameters are known; twin: networks made of connectomes, which predict how people "
        f"perform a task (default: {_DEFAULT})",
    )
    defaults = ", ".join(f"{row.people} with {name}" for name, row in DEMOS.items())
    parser.add_argument(
        "--participants", type=int, metavar="N", help=f"how many people (default: {defaults})"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of all random numbers (--workflow dynamics, twin; default: 0)",
    )
    parser.add_argument(
        "--broken-run",
        action="store_true",
        help="cut the last participant's run in half, to see how a failure looks "
        "(--workflow contrasts)",
    )
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser.add_argument("--version", action="version", version=f"bids_dtg {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-demo`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    row = DEMOS[arguments.workflow]
    limit_threads(row.cores or available_cores())

    def action() -> int:
        participants = row.people if arguments.participants is None else arguments.participants
        _check(arguments, participants, row)
        check_temporary_folder()
        return EXIT_FAILED if row.run(arguments, participants) else 0

    kept = "what is complete is kept"
    return call("dtg-demo", action, debug=arguments.debug, interrupted=kept)


def run() -> NoReturn:
    """Run ``dtg-demo`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-demo", main)


def _check(arguments: argparse.Namespace, participants: int, row: DemoWorkflow) -> None:
    if arguments.broken_run and arguments.workflow != "contrasts":
        raise SettingsError(
            f"--broken-run was given with --workflow {arguments.workflow}, which reads no runs",
            expected="--workflow contrasts",
        )
    if arguments.seed is not None and (arguments.seed < 0 or not row.seeded):
        raise SettingsError(
            f"--seed is {arguments.seed} with --workflow {arguments.workflow}",
            expected="a number from 0, with --workflow dynamics or twin",
        )
    if not row.fewest <= participants <= row.most:
        expected = f"{row.fewest} to {row.most}"
        raise SettingsError(f"--participants is {participants}", expected=expected)
    out: Path = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"OUT {out} is there and not empty", remedy="choose a new folder")


if __name__ == "__main__":
    run()
