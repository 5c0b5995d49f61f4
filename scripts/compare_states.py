"""Compare what two states of the program write, byte for byte: for changes that must not change it.

    python scripts/compare_states.py make FOLDER --code CHECKOUT [--only CALL ...]
    python scripts/compare_states.py diff FOLDER_A FOLDER_B

`make` runs the calls of `state_calls.py` one after another with the code of CHECKOUT, each into a
folder of its own below FOLDER, beside what it says and its exit codes. It takes about a quarter of
an hour of one core, 5 GB and the shared test data (DTG_SHARED, by default beside the project); the
Python that runs it needs what the program needs, with its extras report, train and arrays. `diff`
compares all files of two such folders: which parts of them may differ stands in `state_files.py`,
and what it says of tables, images and arrays that differ in `state_details.py`. Exit codes: 0 all
is the same; 1 something differs, or a step of `make` ended otherwise than it must; 2 wrong
arguments.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from state_arrays import write_arrays
from state_call import Call
from state_calls import CALLS, DEMO_MODEL, written_inputs
from state_files import Difference, State, compare, is_array

ROOT = Path(__file__).parents[1]
API = Path(__file__).with_name("state_api.py")  # runs as the step `api`
# The last revision whose demo model has bundle format 1; it must load for ever.
FORMAT_1 = ("8865039", "bids_dtg/bundles/demo")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Runner:
    """Runs the steps of calls in the folder of a state."""

    folder: Path  # of the state
    code: Path  # the checkout
    programs: Mapping[str, str]  # its programs, as `module:function`
    environment: Mapping[str, str]  # of all programs

    @classmethod
    def of(cls, folder: Path, code: Path, shared: Path) -> Runner:
        """Read the programs of a checkout; stop where another copy of it would run."""
        runner = cls(folder, code, entry_points(code), child_environment(folder, code, shared))
        found = Path(runner.python("import bids_dtg; print(bids_dtg.__file__)").stdout.strip())
        if not found.is_relative_to(code):
            raise SystemExit(f"{found} would run, not {code}")
        return runner

    def python(self, snippet: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python with arguments."""
        command = [sys.executable, "-c", snippet, *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, step: str, said: Path) -> int:
        """Do a step of a call; keep what it says, and return its exit code."""
        program, *words = shlex.split(step)
        if program in _OWN_STEPS:
            _OWN_STEPS[program](*(self.folder / word for word in words))
            return 0
        done = self.python(self._snippet(program), *words)
        lines = [f"$ {step}", f"exit code: {done.returncode}", "", "stdout:", done.stdout]
        said.write_text("\n".join([*lines, "stderr:", done.stderr]), "utf-8")
        return done.returncode

    def _snippet(self, program: str) -> str:
        """Return what runs a program, or the script that uses the Python API."""
        if program == "api":
            return f"import runpy; runpy.run_path({str(API)!r}, run_name='__main__')"
        module, function = self.programs[program].split(":")
        return f"import sys; from {module} import {function}; sys.exit({function}())"


def make(folder: Path, code: Path, shared: Path, calls: Sequence[Call]) -> bool:
    """Run calls with the code of a checkout; answer whether all ended as they must."""
    use_one_core()
    (folder / "shared").symlink_to(shared)
    write_inputs(folder / "inputs")
    runner = Runner.of(folder, code, shared)
    well = True
    for call in calls:
        begun, worked = time.perf_counter(), processor_seconds()
        said = folder / call.name / "said"
        said.mkdir(parents=True)
        for number, step in enumerate(call.steps, 1):
            expected = 0 if step.split()[0] in _OWN_STEPS else call.exit_code
            found = runner.run(step, said / f"{number:02d}.txt")
            if found != expected:
                well = False
                print(f"{call.name}: exit code {found}, see {said}/{number:02d}.txt: {step}")
        took, worked = time.perf_counter() - begun, processor_seconds() - worked
        print(f"{call.name}: {took:.0f} s, of the processor {worked:.0f} s", flush=True)
    State(folder, str(folder), str(code), tuple(call.name for call in calls)).write()
    return well


def processor_seconds() -> float:
    """Return how long all steps so far have kept a processor busy."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def use_one_core() -> None:
    """Keep to one core: sums of several threads need not be the same twice."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def write_inputs(folder: Path) -> None:
    """Write what the calls read and no program here writes."""
    folder.mkdir()
    for name, text in written_inputs().items():
        (folder / name).write_text(text, "utf-8")
    write_arrays(folder)
    revision, path = FORMAT_1
    command = ["git", "-C", str(ROOT), "archive", f"{revision}:{path}"]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder.parent / DEMO_MODEL, filter="data")


def entry_points(code: Path) -> dict[str, str]:
    """Read the programs of a checkout, as `module:function`, from its pyproject.toml."""
    text = (code / "pyproject.toml").read_text("utf-8")
    (table,) = re.findall(r"^\[project\.scripts\]\n((?:.+\n)+)", text, re.MULTILINE)
    return dict(re.findall(r'^(\S+) = "(\S+)"', table, re.MULTILINE))


def child_environment(folder: Path, code: Path, shared: Path) -> dict[str, str]:
    """Return the environment of all calls: one thread, no network, a cache of their own."""
    templates = shared / "data" / "real" / "templateflow_like"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        **dict.fromkeys(_THREADS, "1"),
        "PYTHONPATH": str(code),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TEMPLATEFLOW_HOME": str(templates),
        "DTG_OFFLINE": "1",
        "COLUMNS": "100",
        "TZ": "UTC",
    }


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder, to a folder that may have to be made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def untime(bundle: Path) -> None:
    """Set the seconds, and hours, that a bundle's training took to 0.

    They are part of its card, so of its identity, of the hash of all options of calls that use it
    and of names of files.
    """
    card = bundle / "model.json"
    text = re.sub(r'("(?:seconds|hours)": )[\d.]+', r"\g<1>0", card.read_text("utf-8"))
    card.write_text(text, "utf-8")


# Steps that are no programs of the project.
_OWN_STEPS: Mapping[str, Callable[..., None]] = {"copy": copy, "untime": untime}


def print_difference(first: State, second: State) -> bool:
    """Print a table of all calls and a list of what differs; answer whether all is the same."""
    calls = [call for call in first.calls if call in second.calls]
    differences = {call: compare(first, second, call) for call in calls}
    print(f"{'call':26}{'files':>8}{'same':>8}{'masked':>8}{'different':>11}")
    for call, found in differences.items():
        numbers = (found.count, len(found.same), len(found.masked))
        cells = "".join(f"{number:8}" for number in numbers)
        print(f"{call:26}{cells}{len(found.different):11}")
    for call in sorted({*first.calls} ^ {*second.calls}):
        print(f"{call:26} only in {(first if call in first.calls else second).folder}")
    print_arrays(differences.values())
    for found in differences.values():
        for name, why in found.different.items():
            print(f"different: {name}: {why}")
            for line in found.details.get(name, ()):
                print(f"    {line}")
    return not any(found.different for found in differences.values())


def print_arrays(differences: Collection[Difference]) -> None:
    """Print how many images and other arrays differ."""
    names = [name for found in differences for name in found.names if is_array(name)]
    changed = sum(name in found.different for found in differences for name in names)
    print(f"images and arrays: {len(names)}, of which {changed or 'none'} differ")


def chosen_calls(names: Sequence[str]) -> list[Call]:
    """Return the calls of these names and those that they need, in order; all without names."""
    calls = {call.name: call for call in CALLS}
    wanted = list(names or calls)
    for name in wanted:  # grows
        if name not in calls:
            raise SystemExit(f"there is no call {name}; there are {', '.join(calls)}")
        wanted += calls[name].needs
    return [call for call in CALLS if call.name in wanted]


def build_parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="run all calls with the code of a checkout")
    making.add_argument("folder", type=Path, metavar="FOLDER", help="folder to make, new")
    making.add_argument("--code", type=Path, default=ROOT, metavar="CHECKOUT", help="(this one)")
    making.add_argument("--only", nargs="+", default=[], metavar="CALL", help="and what it needs")
    comparing = commands.add_parser("diff", help="compare what two checkouts have written")
    for name in ("first", "second"):
        comparing.add_argument(name, type=Path, metavar="FOLDER", help="what `make` has made")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    arguments = build_parser().parse_args(argv)
    if arguments.command == "diff":
        try:
            states = [State.read(folder) for folder in (arguments.first, arguments.second)]
        except FileNotFoundError as err:
            raise SystemExit(f"no whole state: {err.filename} is not there") from err
        return 0 if print_difference(*states) else 1
    calls = chosen_calls(arguments.only)
    shared = Path(os.environ.get("DTG_SHARED", ROOT.parent / "shared")).resolve()
    if not (shared / "data").is_dir():
        raise SystemExit(f"no shared test data at {shared} (set DTG_SHARED)")
    folder = arguments.folder.resolve()
    if folder.exists():
        raise SystemExit(f"{folder} is there: choose a new folder")
    folder.mkdir(parents=True)
    return 0 if make(folder, arguments.code.resolve(), shared, calls) else 1


if __name__ == "__main__":
    sys.exit(main())
