"""What a linear core of 400 regions costs at the participant level, on a real run.

    OMP_NUM_THREADS=1 python studies/linear_real_run.py ../shared/data/real/fmriprep_like \
        HAPPYTEST --work FOLDER

The run is described in two calls: series and functional connectivity alone, and with a core. There
are no further people with real runs of these parcels, so the core is of six people made by chance:
what it costs does not depend on who they are. Simulations are timed apart, within the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bids_dtg.dynamics.bundle.linear import load_linear_bundle
from bids_dtg.dynamics.judging.describers import FCD_STRIDE
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.measures import FCD_FRAMES, fcd_shares
from bids_dtg.files.regions.series import read_series

PEOPLE, FRAMES, SIMULATIONS = 6, 600, 20
COMMON = "--workflow dynamics --omp-nthreads 1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("participant")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    work: Path = options.work
    of_run = f"{COMMON} --nprocs 1 --no-reports --participant-label {options.participant} "
    of_run += "--min-minutes 1 --min-dof 5 --space MNI152NLin6Asym"
    print("| call | CPU s | peak MB |\n|---|---|---|")
    call("series and FC alone", [options.data, work / "series", "participant"], of_run)
    (path,) = (work / "series").rglob("*_stat-mean_timeseries.tsv")
    made = work / "made"
    write_people(made, read_series(path).names, seconds_of(path))
    training = f"{COMMON} --analysis train --data-set made --input-arrays {made / 'rest.npz'}"
    call("training of the core", [made, work / "core", "group"], training)
    bundle = work / "core" / "group" / "model-own" / "bundle"
    for simulations in (1, SIMULATIONS):
        words = f"{of_run} --model {bundle} --simulations {simulations}"
        title = f"the same with the core and its files, {simulations} simulated sessions"
        call(title, [options.data, work / f"core-{simulations}", "participant"], words)
    print_parts(path, bundle)


def call(title: str, places: list[Path | str], words: str) -> None:
    """Run the program, and print what it and all its processes took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = [sys.executable, "-m", "bids_dtg.cli.run", *map(str, places), *words.split()]
    done = subprocess.run(["/usr/bin/time", "-f", "%M", *program], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"| {title} | {seconds:.1f} | {int(done.stderr.split()[-1]) / 1024:.0f} |", flush=True)


def seconds_of(path: Path) -> float:
    return float(json.loads(path.with_suffix(".json").read_text())["RepetitionTime"])


def write_people(
    folder: Path,
    names: tuple[str, ...],
    tr_seconds: float,
    *,
    people: int = PEOPLE,
    frames: int = FRAMES,
) -> None:
    rng = np.random.default_rng(0)
    series = rng.standard_normal((people, len(names), frames))
    series += rng.standard_normal((people, 1, frames))
    for frame in range(1, frames):
        series[..., frame] += 0.7 * series[..., frame - 1]
    folder.mkdir(parents=True)
    labels = [f"{number:02}" for number in range(people)]
    np.savez(
        folder / "rest.npz",
        rest=series.astype("f4"),
        people=labels,
        places=names,
        tr_seconds=tr_seconds,
    )


def print_parts(path: Path, bundle: Path) -> None:
    """Print what parts of the work take, in this process."""
    table, model = read_series(path), load_linear_bundle(bundle).model()
    series = np.nan_to_num(table.values)
    started = time.process_time()
    process = model.infer(LagCovariances.of(series, table.keep))
    inferred = time.process_time()
    simulated = process.simulate(SIMULATIONS, series.shape[1], np.random.default_rng(0))
    drawn = time.process_time()
    fcd_shares(simulated, frames=FCD_FRAMES, stride=FCD_STRIDE)
    judged = time.process_time()
    print(
        f"\n{len(table.names)} regions, {series.shape[1]} frames; CPU s: process of a person "
        f"{inferred - started:.2f}, {SIMULATIONS} simulated sessions {drawn - inferred:.2f}, "
        f"their FCD {judged - drawn:.2f}; largest eigenvalue {process.radius:.3f}, smallest "
        f"variance of the noise {np.linalg.eigvalsh(process.noise).min():.1e}"
    )


if __name__ == "__main__":
    main()
