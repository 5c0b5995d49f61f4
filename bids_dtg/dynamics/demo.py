"""The demo: simulated people's images, a linear core of most of them, and a person it has not seen.

Everything is done as a user would: images of runs become series, series of all people but one
become a core, and the last one is described by it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.analyses.linear_training import run_linear_training
from bids_dtg.dynamics.bundle.linear import load_linear_bundle
from bids_dtg.dynamics.linear import FEWEST_PEOPLE, LagCovariances
from bids_dtg.dynamics.participant.worker import LEVEL
from bids_dtg.dynamics.phantom.dataset import NetworkPhantom, NetworkPlan
from bids_dtg.files.regions.series import read_series
from bids_dtg.files.text import write_tsv
from bids_dtg.notices import counted, duration, say, show
from bids_dtg.report.demo import SIMULATED, TABLE
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.version import __version__

Values = NDArray[np.floating[Any]]

PEOPLE = 10  # nine to train on, and a new one
FEWEST = FEWEST_PEOPLE + 1
STUDY, NEW = "study", "new"  # folders of the training people's output, and of the new person's
_NAME = "demo"  # of the core
_DIGITS = 4  # of a table


@dataclass(frozen=True)
class DemoSize:
    """Sizes of the simulated people's data."""

    regions: int = 20
    frames: int = 300


def run_core_demo(
    out: Path, *, participants: int = PEOPLE, seed: int = 0, size: DemoSize | None = None
) -> int:
    """Simulate images, make a core of all people but one, describe that one by it.

    Parameters
    ----------
    out
        Output folder; it must be new or empty.
    participants
        How many people to simulate; the last one is new to the core.
    seed
        Seed of all random numbers.
    size
        Sizes of the simulated data; None: sizes for less than a minute.

    Returns
    -------
    The number of people that failed.
    """
    size, start = size or DemoSize(), time.perf_counter()
    plan = NetworkPlan(people=participants, regions=size.regions, frames=size.frames, seed=seed)
    phantom = NetworkPhantom.of(plan)
    generator = {"Name": "bids_dtg dtg-demo", "Version": __version__}
    atlas = phantom.write(out / SIMULATED, generator=generator, report=say)
    show(f"{counted(participants, 'simulated participant')} in {out / SIMULATED}")
    *known, new = phantom.labels
    of_all: dict[str, Any] = {
        "bids_dir": out / SIMULATED / "fmriprep",
        "workflow": "dynamics",
        "seed": seed,
    }
    of_runs = {**of_all, "analysis_level": "participant", "atlases": (str(atlas),)}
    failed = LEVEL.run(
        Settings.of(**of_runs, output_dir=out / STUDY, participant_label=tuple(known))
    )
    training = {"analysis_level": "group", "analysis": "train"}
    run_linear_training(Settings.of(**of_all, **training, output_dir=out / STUDY, model_name=_NAME))
    bundle = out / STUDY / "group" / f"model-{_NAME}" / "bundle"
    failed += LEVEL.run(
        Settings.of(**of_runs, output_dir=out / NEW, participant_label=(new,), model=str(bundle))
    )
    if not failed:
        rows = _compared(out, bundle, phantom)
        write_tsv(
            out / TABLE, ["description", "r"], [(words, round(r, _DIGITS)) for words, r in rows]
        )
        _print(rows, new)
        show(f"table: {out / TABLE}")
        show(f"page: {out / NEW / f'sub-{new}.html'}")
    say(f"done in {duration(time.perf_counter() - start)}")
    return failed


def _compared(out: Path, bundle: Path, phantom: NetworkPhantom) -> list[tuple[str, float]]:
    """Return r of functional connectivity of the new person's next run with what is known."""
    label = phantom.labels[-1]
    (path,) = (out / NEW / f"sub-{label}").rglob("*_stat-mean_timeseries.tsv")
    table = read_series(path)
    own = LagCovariances.of(np.nan_to_num(table.values), table.keep)
    model = load_linear_bundle(bundle).model()
    # Series of the oscillators themselves, which no image holds.
    again = LagCovariances.of(phantom.people.again([1])[-1, 0])
    edges = upper_edges(again.values[0])
    found: dict[str, Values] = {
        "the linear core, of the run": model.connectivity(own),
        "the run itself": own.values[0],
        "the mean of the training people": model.infer_group().connectivity,
    }
    return [(words, float(correlation(upper_edges(fc), edges))) for words, fc in found.items()]


def _print(rows: list[tuple[str, float]], new: str) -> None:
    show("")
    show(f"SIMULATED sub-{new}, who is new to the core: functional connectivity of another run of")
    show("the same oscillators, r with that of")
    for words, r in rows:
        show(f"  {words:34}{r:8.2f}")
    show("Everything here is SIMULATED: it says nothing about brains.")
    show("")
