"""Compare the values that two states of the program write: for changes that must not change them.

    python scripts/compare_states.py make FOLDER --code CHECKOUT [--before] [--only CALL ...]
    python scripts/compare_states.py diff FOLDER_A FOLDER_B

`make` runs the calls of `state_calls.py` one after another with the code of CHECKOUT, each into a
folder of its own below FOLDER, beside what the program prints. A call whose words have changed has
two spellings; `--before` takes the earlier one. `make` takes about ten minutes of one core, 3 GB
and the shared test data (DTG_SHARED, by default beside the project). `diff` compares images,
tensors, arrays and tables exactly: the files, tensors and columns that both states have. It lists
those that only one state has. Exit codes: 0 all common values are equal; 1 something differs, or a
step of `make` failed; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from state_calls import CALLS, Call, write_inputs

ROOT = Path(__file__).parents[1]
API = Path(__file__).with_name("state_api.py")  # runs as the step `api`
FORMS = (".nii.gz", ".nii", ".gii", ".npz", ".safetensors", ".tsv")
# Columns that say how long something took, or when it was done.
TIMED = re.compile(r"seconds_processing|seconds|hours|.*_utc")

Values = Mapping[str, np.ndarray]


def make(folder: Path, code: Path, shared: Path, calls: Sequence[Call], *, before: bool) -> bool:
    """Run calls with the code of a checkout; answer whether all steps succeeded."""
    if hasattr(os, "sched_setaffinity"):  # sums of several threads need not be the same twice
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
    (folder / "shared").symlink_to(shared)
    (folder / "code").symlink_to(code)
    write_inputs(folder / "inputs")
    environment, programs = child_environment(folder, code, shared), entry_points(code)
    command = [sys.executable, "-c", "import bids_dtg; print(bids_dtg.__file__)"]
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if not Path(found.stdout.strip()).is_relative_to(code):
        raise SystemExit(f"{found.stdout.strip()} would run, not {code}")
    well = True
    for call in calls:
        started, log = time.perf_counter(), folder / call.name / "printed.txt"
        log.parent.mkdir()
        for spellings in call.steps:
            step = spellings if isinstance(spellings, str) else spellings[0 if before else 1]
            if (code_of_step := run(step, folder, programs, environment, log)) != call.exit_code:
                well = False
                print(f"{call.name}: exit code {code_of_step}, see {log}: {step}")
        print(f"{call.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return well


def run(
    step: str, folder: Path, programs: Mapping[str, str], environment: Mapping[str, str], log: Path
) -> int:
    """Do one step of a call and return its exit code; the log keeps what the program prints."""
    program, *words = shlex.split(step)
    if program == "copy":
        source, target = (folder / word for word in words)
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        return 0
    if program == "api":
        snippet = f"import runpy; runpy.run_path({str(API)!r}, run_name='__main__')"
    else:
        module, function = programs[program].split(":")
        snippet = f"import sys; from {module} import {function}; sys.exit({function}())"
    with log.open("a", encoding="utf-8") as printed:
        print(f"$ {step}", file=printed, flush=True)
        command = [sys.executable, "-c", snippet, *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT
        )
    return done.returncode


def entry_points(code: Path) -> dict[str, str]:
    """Read the programs of a checkout, as `module:function`, from its pyproject.toml."""
    text = (code / "pyproject.toml").read_text("utf-8")
    (table,) = re.findall(r"^\[project\.scripts\]\n((?:.+\n)+)", text, re.MULTILINE)
    return dict(re.findall(r'^(\S+) = "(\S+)"', table, re.MULTILINE))


def child_environment(folder: Path, code: Path, shared: Path) -> dict[str, str]:
    """Return the environment of all calls: one thread, no network, a cache of their own."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        **dict.fromkeys(threads, "1"),
        "PYTHONPATH": str(code),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TEMPLATEFLOW_HOME": str(shared / "data" / "real" / "templateflow_like"),
        "DTG_OFFLINE": "1",
        "TZ": "UTC",
    }


def values(path: Path) -> Values:
    """Read the arrays of a file by their names, or the columns of a table."""
    name = path.name
    if name.endswith(".tsv"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        return {key: table[key].to_numpy() for key in table if not TIMED.fullmatch(str(key))}
    if name.endswith(".safetensors"):
        return load_file(path)
    if name.endswith(".npz"):
        with np.load(path) as arrays:
            return dict(arrays)
    image = nibabel.load(path)
    if isinstance(image, nibabel.GiftiImage):
        return {str(number): array.data for number, array in enumerate(image.darrays)}
    affine = getattr(image, "affine", ())  # parcels have none
    return {"data": np.asanyarray(image.dataobj), "affine": np.asarray(affine)}


def differences(first: Path, second: Path) -> Iterator[str]:
    """Say how two files of one name differ: values that both have, then what only one has."""
    one, other = values(first), values(second)
    for name in sorted({*one} | {*other}):
        if name not in one or name not in other:
            yield f"{name} only in {'A' if name in one else 'B'}"
        elif one[name].shape != other[name].shape:
            yield f"! {name}: shapes {one[name].shape} and {other[name].shape}"
        elif not np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind in "fc"):
            yield f"! {name}: {_apart(one[name], other[name])}"


def _apart(one: np.ndarray, other: np.ndarray) -> str:
    try:
        apart = np.abs(one.astype(float) - other.astype(float))
    except ValueError:
        return f"{np.count_nonzero(one != other)} of {one.size} values differ"
    differs = np.count_nonzero(one != other)
    return f"{differs} of {one.size} values differ, by at most {np.nanmax(apart):.3g}"


def files_of(folder: Path) -> set[str]:
    """Find what a state's calls wrote and can be compared, but for logs and caches."""
    names = {
        str(path.relative_to(folder))
        for form in FORMS
        for call in sorted(folder.iterdir())
        if call.is_dir() and call.name not in ("inputs", "shared", "code", "cache")
        for path in call.rglob(f"*{form}")
    }
    return {name for name in names if not {"logs", "cache", "checkpoints"} & {*Path(name).parts}}


def print_differences(first: Path, second: Path) -> bool:
    """Print a row a call, then what differs; answer whether all common values are equal."""
    one, other = files_of(first), files_of(second)
    lines: dict[str, list[str]] = {}
    for name in sorted(one & other):
        if found := list(differences(first / name, second / name)):
            lines[name] = found
    changed = {name for name, found in lines.items() if any(line[0] == "!" for line in found)}
    print(f"{'call':24}{'both':>8}{'differ':>8}{'only A':>8}{'only B':>8}")
    for call in sorted({name.split("/")[0] for name in one | other}):
        sets = (one & other, changed, one - other, other - one)
        counts = (sum(name.startswith(f"{call}/") for name in names) for names in sets)
        print(f"{call:24}" + "".join(f"{count:8}" for count in counts))
    for name, found in lines.items():
        print(name, *found, sep="\n    ")
    for letter, names in (("A", one - other), ("B", other - one)):
        for ending in sorted({Path(name).name.split("_", 1)[-1] for name in names}):
            print(f"only in {letter}: {ending}")
    return not changed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="run all calls with the code of a checkout")
    making.add_argument("folder", type=Path, metavar="FOLDER", help="folder to make, new")
    making.add_argument("--code", type=Path, default=ROOT, metavar="CHECKOUT", help="(this one)")
    making.add_argument("--before", action="store_true", help="earlier spellings of calls")
    making.add_argument("--only", nargs="+", metavar="CALL", help="and those before that it needs")
    comparing = commands.add_parser("diff", help="compare what two checkouts have written")
    for name in ("first", "second"):
        comparing.add_argument(name, type=Path, metavar="FOLDER", help="what `make` has made")
    arguments = parser.parse_args(argv)
    if arguments.command == "diff":
        return 0 if print_differences(arguments.first, arguments.second) else 1
    wanted = list(arguments.only or (call.name for call in CALLS))
    for name in wanted:  # grows
        wanted += next(call.needs for call in CALLS if call.name == name)
    shared = Path(os.environ.get("DTG_SHARED", ROOT.parent / "shared")).resolve()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True)
    calls = [call for call in CALLS if call.name in wanted]
    return (
        0 if make(folder, arguments.code.resolve(), shared, calls, before=arguments.before) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
