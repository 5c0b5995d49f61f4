"""The published pipeline on whole arrays, as an oracle: float64, pinv, lstsq, corrcoef."""

from __future__ import annotations

import numpy as np


def plain_series(bold: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """(frames, rois): pinv of the demeaned maps times the demeaned BOLD."""
    maps = maps.astype(np.float64)
    # rcond: maps that add up to a constant are singular once demeaned
    inverse = np.linalg.pinv(maps - maps.mean(axis=1, keepdims=True), rcond=1e-6)
    return (bold - bold.mean(axis=0)) @ inverse


def clean(values: np.ndarray, confounds: np.ndarray | None) -> np.ndarray:
    """Residuals of a least-squares fit with an intercept."""
    design = np.ones((len(values), 1))
    if confounds is not None:
        design = np.hstack([design, confounds])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def correlate(voxels: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(rois, voxels) Pearson r, 0 where undefined."""
    voxels, series = voxels - voxels.mean(axis=0), series - series.mean(axis=0)
    norms = np.sqrt(np.outer((series**2).sum(0), (voxels**2).sum(0)))
    return np.divide(
        series.T @ voxels, norms, out=np.zeros_like(norms), where=norms > 0
    )


def plain_connectome(
    bold: np.ndarray, maps: np.ndarray, confounds: np.ndarray | None = None
) -> np.ndarray:
    bold = bold.astype(np.float64)
    return correlate(clean(bold, confounds), clean(plain_series(bold, maps), confounds))


def regress(voxels: np.ndarray, series: np.ndarray, penalty: float) -> np.ndarray:
    """(rois, voxels) ridge coefficients on all series together, everything of variance 1.

    Least squares by lstsq on the series with the root of the penalty below them; coefficients of
    series that do not vary, and of voxels that do not, are 0.
    """
    voxels, series = voxels - voxels.mean(axis=0), series - series.mean(axis=0)
    voxels, series = (
        np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0)
        for centred, norm in (
            (values, np.linalg.norm(values, axis=0)) for values in (voxels, series)
        )
    )
    varying = series.any(axis=0)
    rois = np.count_nonzero(varying)
    design = np.vstack([series[:, varying], np.sqrt(penalty) * np.eye(rois)])
    target = np.vstack([voxels, np.zeros((rois, voxels.shape[1]))])
    coefficients = np.zeros((series.shape[1], voxels.shape[1]))
    coefficients[varying] = np.linalg.lstsq(design, target, rcond=1e-6)[0]
    return coefficients
