"""The demo: a linear core, trained on simulated people's images and applied to a new person.

It takes the steps of a user: images of runs become series, a core is trained on the series of all
people but one, and the core is applied to the last person.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from bids_dtg.array_types import Floats
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.dynamics.analyses.linear_training import run_linear_training
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.linear import LagCovariances
from bids_dtg.dynamics.participant.worker import LEVEL
from bids_dtg.dynamics.phantom.dataset import NetworkPhantom
from bids_dtg.files.regions import read_series
from bids_dtg.files.text import write_tsv
from bids_dtg.notices import counted, show
from bids_dtg.phantom.regions import RegionPlan
from bids_dtg.report.page import write_demo
from bids_dtg.report.tables import Table
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.workflows import SIMULATED, TABLE

# Folders of the training people's output, and of the new person's.
STUDY, NEW = "study", "new"
_NAME = "demo"  # of the core
_WARNING = (
    "Everything here is SIMULATED and not for science: it says nothing about brains."
)


# Long, as it is a story: simulate, train, apply, compare and write the page.
def run_core_demo(arguments: argparse.Namespace) -> int:
    """Simulate images, train a core on all people but one, and apply it to the last person.

    Parameters
    ----------
    arguments
        `out`, a new or empty folder; the number of `participants`, of whom the last one is not used
        for training; and the `seed` of all random numbers.

    Returns
    -------
    The number of people who failed.
    """
    out: Path = arguments.out
    participants, seed = arguments.participants, arguments.seed
    folder = out / SIMULATED
    phantom = NetworkPhantom.of(RegionPlan(people=participants, seed=seed))
    atlas = phantom.write(folder, program="dtg-demo")
    show(f"{counted(participants, 'simulated participant')} in {folder}")
    *training, new = phantom.labels
    settings = partial(
        Settings.of, bids_dir=folder / "fmriprep", workflow="dynamics", seed=seed
    )
    participant_settings = partial(
        settings, analysis_level="participant", atlases=(str(atlas),)
    )
    failed = LEVEL.run(
        participant_settings(output_dir=out / STUDY, participant_label=tuple(training))
    )
    group = {"analysis_level": "group", "analysis": "train", "output_dir": out / STUDY}
    run_linear_training(settings(**group, model_name=_NAME))
    bundle = out / STUDY / "group" / f"model-{_NAME}" / "bundle"
    failed += LEVEL.run(
        participant_settings(
            output_dir=out / NEW, participant_label=(new,), model=str(bundle)
        )
    )
    if not failed:
        rows = _compared(out, bundle, phantom)
        write_tsv(
            out / TABLE,
            ["description", "r"],
            [(words, round(r, 4)) for words, r in rows],
        )
        text = (
            f"SIMULATED sub-{new} is not a training person of the core. The table shows how well "
            "functional connectivity in another run of the same oscillators is predicted."
        )
        show("")
        for words, r in rows:
            show(f"  {words:34}{r:8.2f}")
        write_demo(
            out,
            "Demo: a linear core and a new person",
            f"{counted(participants, 'simulated participant')}; {len(training)} trained the core.",
            _WARNING,
            text=[text],
            tables=[Table("", ("predicted by", "r with the other run"), rows)],
            pages={
                f"{NEW}/sub-{new}.html": f"Report of sub-{new}",
                f"{STUDY}/index.html": "The core and its training people",
                TABLE: TABLE,
            },
        )
    return failed


def _compared(
    out: Path, bundle: Path, phantom: NetworkPhantom
) -> list[tuple[str, float]]:
    """Return r between the functional connectivity of the new person's next run and predictions."""
    (path,) = (out / NEW / f"sub-{phantom.labels[-1]}").rglob(
        "*_stat-mean_timeseries.tsv"
    )
    table = read_series(path)
    this_run = LagCovariances.of(table.values, table.keep)
    model = LinearBundle.load(bundle).model()
    # The next run's series come from the oscillators; no image is made of them.
    again = LagCovariances.of(phantom.people.again([1])[-1, 0])
    edges = upper_edges(again.values[0])
    predictions: dict[str, Floats] = {
        "the linear core, from this run": model.connectivity(this_run),
        "this run's own connectivity": this_run.values[0],
        "the mean of the training people": model.infer_group().connectivity,
    }
    return [
        (words, float(correlation(upper_edges(fc), edges)))
        for words, fc in predictions.items()
    ]
