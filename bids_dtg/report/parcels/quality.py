"""Figures of a run's parcels: columns of the quality table, and what they are computed from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import fc_strength
from bids_dtg.report.quality import QualityColumn

COLUMNS = (
    QualityColumn("parcels", "Parcels of the atlas"),
    QualityColumn(
        "parcels_kept",
        "Parcels with a series: those with signal in as much of them as --min-coverage asks for",
        title="Parcels with a series",
        decimals=0,
        summary="{:.0f}",
    ),
    QualityColumn(
        "coverage",
        "Share of voxels with signal, mean over the parcels",
        title="Parcels' voxels with signal",
        decimals=3,
        summary="{:.1%}",
        flag="{value:.1%} of the parcels' voxels have signal",
    ),
    QualityColumn(
        "parcel_coverage_min", "Smallest share, over parcels, of a parcel's voxels with signal"
    ),
    QualityColumn(
        "std_dvars_mean",
        "Mean standardised DVARS over all frames; n/a where it is not known",
        title="Mean standardised DVARS",
    ),
    QualityColumn(
        "fc_mean",
        "Mean functional connectivity (Pearson r) over all pairs of parcels with a series",
        title="Mean functional connectivity",
        unit="r",
        decimals=3,
        summary="{:.3f}",
    ),
)


def parcel_figures(
    coverage: NDArray[np.floating[Any]],
    connectivity: NDArray[np.floating[Any]],
    std_dvars: NDArray[np.floating[Any]] | None,
) -> dict[str, object]:
    """Return the figures of a run's parcels, by column of the quality table (`COLUMNS`).

    Parameters
    ----------
    coverage
        Share of each parcel's voxels with signal, (parcels,).
    connectivity
        Functional connectivity, (parcels, parcels); NaN where a parcel has no series.
    std_dvars
        (frames,), NaN where n/a; None where it is not known.

    Examples
    --------
    >>> figures = parcel_figures(np.array([1.0, 0.5]), np.array([[1, 0.25], [0.25, 1]]), None)
    >>> figures["coverage"], figures["fc_mean"], figures["std_dvars_mean"]
    (0.75, 0.25, None)
    """
    known = np.isfinite(connectivity.diagonal())
    dvars = np.empty(0) if std_dvars is None else std_dvars[np.isfinite(std_dvars)]
    strength = float(fc_strength(connectivity))
    return {
        "parcels": len(coverage),
        "parcels_kept": int(known.sum()),
        "coverage": round(float(coverage.mean()), 4),
        "parcel_coverage_min": round(float(coverage.min()), 4),
        "std_dvars_mean": round(float(dvars.mean()), 4) if dvars.size else None,
        "fc_mean": round(strength, 4) if np.isfinite(strength) else None,
    }
