"""Places standardised by the sd of the first 128 frames, against the sd of all frames.

    OMP_NUM_THREADS=1 python studies/first_frames.py ../shared/data/real/fmriprep_like

A long run's sums do not hold the sd of places before stage 1 of dual regression: that of the first
frames is taken. Compared are the partial coefficients, and deviations of maps from those of other
people, with an exact version that knows the sd of all frames, as a second read of the file would.
Real runs are at 4 mm, with 50 ROI maps of their own; of the shorter one 64 first frames are taken,
as the program treats so short a run exactly. They have no task maps: deviations are those of random
coefficients from the connectome of the run's first half. Ten simulated people (8 mm, 600 frames)
have places of different sd and a drift, and the weighted model of all ten.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome import moments as sums
from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import Removal, Retention, TemporalDesign
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.weighted_linear import fit_weighted
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.group_ica import GroupIca

Array = NDArray[np.floating]
FORM = Form("partial", standardised=True, fixed=0.06)
PEOPLE, SIZE, SPREAD = 10, 32, 0.45  # SPREAD: sd of the logarithm of places' sd, as in a real run
REAL = {"RAPIDTIDETEST": ("MNI152NLin2009cAsym", 128), "HAPPYTEST": ("MNI152NLin2009cAsym", 64)}


def connectome(bold: Array, maps: Array, design: TemporalDesign, *, exact: bool) -> Array:
    """Return the partial coefficients (rois, voxels) of a run (frames, voxels)."""

    def blocks():
        for first in range(0, len(bold), SIZE):
            yield first, bold[first : first + SIZE].copy()

    voxels = bold.shape[1]
    wanted = sums.RunVoxels(maps, voxels, np.ones(voxels, bool), standardised=True)
    cleaning = (Retention if exact else Removal).of(design)
    made = sums.measure_run(
        blocks, design, wanted, segments=design.segments(np.inf), cleaning=cleaning
    )
    return run_connectomes(made, form=FORM, every_part=False).segments[0].r


def both(bold: Array, maps: Array, design: TemporalDesign) -> tuple[Array, Array]:
    return tuple(connectome(bold, maps, design, exact=exact) for exact in (True, False))


def alike(one: Array, other: Array) -> float:
    """Return the least r over rows."""
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(one, other, strict=True))


def standard(rows: Array) -> Array:
    return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)


def real_run(root: Path, label: str, space: str) -> None:
    """Compare a real run."""
    folder = root / f"sub-{label}/func"
    stem = f"sub-{label}_task-rest_"
    bold = nib.load(folder / f"{stem}space-{space}_desc-preproc_bold.nii.gz")
    mask = nib.load(folder / f"{stem}space-{space}_desc-brain_mask.nii.gz").get_fdata() > 0
    series = np.asarray(bold.dataobj, np.float32)[mask].T
    with (folder / f"{stem}desc-confounds_timeseries.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = [
        name
        for name in rows[0]
        if name.startswith(("cosine", "rot_", "trans_")) or name in ("csf", "white_matter")
    ]
    number = {"n/a": np.nan, "": np.nan}
    table = np.array([[float(number.get(row[n], row[n])) for n in names] for row in rows])
    tr_seconds, frames = float(bold.header.get_zooms()[3]), len(series)
    design = TemporalDesign.build(table, names, np.ones(frames, bool), tr_seconds)
    live = series.std(axis=0) > 0
    series = series[:, live]
    ica = GroupIca()
    ica.add(design.clean(series).T)
    maps, _ = ica.maps(50, seed=0)
    exact, near = both(series, maps, design)
    half = TemporalDesign.build(table[: frames // 2], names, np.ones(frames // 2, bool), tr_seconds)
    group = standard(connectome(series[: frames // 2], maps, half, exact=True))
    coefficients = np.random.default_rng(0).standard_normal((20, len(maps)))
    of_maps = [coefficients @ (standard(found) - group) for found in (exact, near)]
    print(
        f"{label}: {frames} frames, first {sums.LEAD_FRAMES}: coefficients r "
        f"{np.corrcoef(exact.ravel(), near.ravel())[0, 1]:.4f} (least ROI "
        f"{alike(exact, near):.4f}), deviations r {alike(*of_maps):.4f} at least"
    )


def simulated_people() -> None:
    """Compare ten simulated people, with the model of all of them."""
    phantom = Phantom(PhantomParameters(), seed=0, block=4)  # version 1
    people, found = [], []
    grey = phantom.anatomy.grey_in_brain
    maps = np.ascontiguousarray(phantom.roi_maps)
    for index in range(PEOPLE):
        person = phantom.person(Cohort.TRAINING, index)
        rng = np.random.default_rng(index)
        frames = np.asarray(person.frames(0, 0), np.float32)[:, grey]
        drift = np.linspace(-1, 1, len(frames))[:, None] ** np.arange(1, 4)
        walk = rng.standard_normal((len(frames), 6)).cumsum(axis=0)
        table = np.hstack([drift, walk / walk.std(axis=0)])
        frames += table @ rng.standard_normal((table.shape[1], len(grey))) * frames.std()
        frames *= np.exp(SPREAD * rng.standard_normal(len(grey)))
        keep = rng.random(len(frames)) < 0.95
        names = [str(number) for number in range(table.shape[1])]
        design = TemporalDesign.build(table, names, keep, 0.72)
        exact, near = both((1000 + frames).astype(np.float32), maps, design)
        measured = np.asarray(person.measured_maps(0), np.float32)
        people.append(
            Person(person_label(index), exact[None], (1.0,), (measured,), form=FORM, minutes=7.2)
        )
        found.append((exact, near))
    fit = fit_weighted(people, (len(maps),))
    coefficients, deviations = [], []
    for exact, near in found:
        coefficients.append(float(np.corrcoef(exact.ravel(), near.ravel())[0, 1]))
        deviations.append(alike(*(fit.model.predict(one) for one in (exact, near))))
    print(
        f"{PEOPLE} simulated people: coefficients r {np.mean(coefficients):.4f} (least "
        f"{min(coefficients):.4f}), deviations r {np.mean(deviations):.4f} (least "
        f"{min(deviations):.4f})"
    )


def person_label(index: int) -> str:
    return f"{index:02d}"


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="fMRIPrep-like data set with both real runs")
    folder = parser.parse_args().folder
    usual = sums.LEAD_FRAMES
    for label, (space, frames) in REAL.items():
        sums.LEAD_FRAMES = frames
        real_run(folder, label, space)
    sums.LEAD_FRAMES = usual
    simulated_people()


if __name__ == "__main__":
    main()
