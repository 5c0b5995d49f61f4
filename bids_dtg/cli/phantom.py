"""The command `dtg-phantom`: a simulated cohort, written as datasets.

Exit codes: 0 done; 1 the datasets cannot be written; 2 wrong arguments; 70
internal error; 130 interrupted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from bids_dtg.cli.exits import Parser, call
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.errors import SettingsError
from bids_dtg.streams import run_program
from bids_dtg.version import __version__

if TYPE_CHECKING:
    from bids_dtg.dynamics.phantom.dataset import NetworkPhantom
    from bids_dtg.twin.phantom.dataset import TwinPhantom

_Plan = TypeVar("_Plan")

_MOST_PARTICIPANTS = 999  # labels have three digits

_EPILOG = """\
With --workflow contrasts:
OUT/fmriprep   resting-state BOLD, brain masks and confounds, as fMRIPrep leaves them
OUT/statmaps   47 measured task contrast maps a participant, sessions test and retest
OUT/truth      the same maps without measurement noise

With --workflow dynamics:
OUT/fmriprep   resting-state BOLD of 20 regions, as fMRIPrep leaves it (voxels of 4 mm)
OUT/atlas      the regions, as --atlases takes them
OUT/connectomes, OUT/qsirecon
               structural connectomes, as --structural-connectivity takes them
OUT/truth      the regions' series and parameters

With --workflow twin:
OUT/fmriprep   resting-state BOLD of 20 regions, as fMRIPrep leaves it (voxels of 4 mm)
OUT/atlas      the regions, as --atlases takes them
OUT/bids       a raw dataset: event files of two tasks, without images
OUT/truth      connectomes, parameters and mean response times

The same options give the same files. Nobody real is in them: for trying out, teaching
and testing only.
"""


def _contrasts(arguments: argparse.Namespace) -> None:
    # Here, so that --help and wrong arguments are answered at once.
    from bids_dtg.contrasts.demo import write_people
    from bids_dtg.contrasts.phantom.dataset import RunPlan
    from bids_dtg.contrasts.phantom.model import Phantom
    from bids_dtg.phantom.streams import Cohort

    try:
        plan = RunPlan(arguments.frames, arguments.repetition_time)
    except ValueError as err:
        raise SettingsError(f"--frames and --repetition-time: {err}") from err
    phantom = Phantom(seed=arguments.seed)
    people = [phantom.person(Cohort.DEMO, index) for index in range(arguments.participants)]
    write_people(arguments.out, phantom, people, plan=plan, program="dtg-phantom")


def _dynamics(arguments: argparse.Namespace) -> None:
    from bids_dtg.dynamics.phantom.dataset import NetworkPhantom, NetworkPlan

    _write(NetworkPhantom.of(_planned(NetworkPlan, arguments)), arguments.out)


def _twin(arguments: argparse.Namespace) -> None:
    from bids_dtg.twin.phantom.dataset import TwinPhantom, TwinPlan

    _write(TwinPhantom.of(_planned(TwinPlan, arguments)), arguments.out)


def _planned(plan: Callable[..., _Plan], arguments: argparse.Namespace) -> _Plan:
    """Return the plan of a run of regions."""
    try:
        return plan(
            people=arguments.participants,
            frames=arguments.frames,
            repetition_time_s=arguments.repetition_time,
            seed=arguments.seed,
        )
    except ValueError as err:
        raise SettingsError(f"--frames and --repetition-time: {err}") from err


def _write(phantom: NetworkPhantom | TwinPhantom, out: Path) -> None:
    from bids_dtg.notices import say

    generator = {"Name": "bids_dtg dtg-phantom", "Version": __version__}
    phantom.write(out, generator=generator, report=say)


WORKFLOWS: Mapping[str, Callable[[argparse.Namespace], None]] = MappingProxyType(
    {"contrasts": _contrasts, "dynamics": _dynamics, "twin": _twin}
)
_DEFAULT = "contrasts"


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    parser = Parser(
        prog="dtg-phantom",
        description="Simulate people with a known truth: rest, and what a workflow needs with it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make, new or empty")
    parser.add_argument(
        "--workflow",
        choices=tuple(WORKFLOWS),
        default=_DEFAULT,
        help="whose input is simulated: contrasts: rest and task maps; dynamics: networks of "
        "oscillators with known parameters; twin: rest and event files of people whose connectome "
        f"decides how they respond (default: {_DEFAULT})",
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
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser.add_argument("--version", action="version", version=f"bids_dtg {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-phantom`` and return its exit code."""
    arguments = build_parser().parse_args(argv)

    def action() -> int:
        _check(arguments)
        WORKFLOWS[arguments.workflow](arguments)
        return 0

    kept = "finished participants are kept"
    return call("dtg-phantom", action, debug=arguments.debug, interrupted=kept)


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
    out: Path = arguments.out
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as err:
        raise SettingsError(f"OUT {out} cannot be looked into: {err.strerror}") from err
    if taken:
        raise SettingsError(f"OUT {out} is there and not empty", remedy="choose a new folder")


if __name__ == "__main__":
    run()
