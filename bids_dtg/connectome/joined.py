"""Connectomes of several runs as of one: what cleaning has left of each is joined in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.algebra import ratio
from bids_dtg.connectome.connectome import Connectome


class JoinedRuns:
    """Adds up runs, each about its own means, to the connectome of all their frames.

    Sums of products add up over runs, and correlations are quotients of such sums. So the joined
    connectome follows from those of the runs and their sums of squares, and no run is read twice.

    Examples
    --------
    Twice the same run has the correlations of the run, of twice the frames:

    >>> import numpy as np
    >>> from bids_dtg.connectome.connectome import Connectome, Scatter
    >>> r = np.array([[0.5, -0.2]], np.float32)
    >>> run = Connectome(r, 100, 200.0, scatter=Scatter(np.array([9.0, 4.0]), np.ones(1)))
    >>> joined = JoinedRuns()
    >>> for _ in range(2):
    ...     joined.add(run)
    >>> joined.connectome().r.tolist() == r.tolist(), joined.connectome().frames
    (True, 200)
    """

    def __init__(self) -> None:
        self._sum: Connectome | None = None  # `r` and `roi_r` are sums of products
        self._places: NDArray[np.float64] = np.zeros(0)
        self._rois: NDArray[np.float64] = np.zeros(0)

    @property
    def begun(self) -> bool:
        """Whether there is a run."""
        return self._sum is not None

    def add(self, run: Connectome) -> None:
        """Add a run.

        Parameters
        ----------
        run
            Its connectome, (rois, places), with `scatter`, in the form of the others.

        Raises
        ------
        ValueError
            It has no sums of squares, or another form or shape than the others.
        """
        if run.scatter is None:
            raise ValueError("runs are joined by sums of squares, which this one lacks")
        places, rois = run.scatter.places, run.scatter.rois
        products = run.marginal * np.sqrt(rois)[:, None].astype(np.float32)
        products *= np.sqrt(places).astype(np.float32)
        norms = np.sqrt(np.outer(rois, rois))
        own = replace(
            run, r=products, roi_r=None if run.roi_r is None else run.roi_r * norms, scatter=None
        )
        if self._sum is None:
            self._sum, self._places, self._rois = own, places.copy(), rois.copy()
            return
        if own.form != self._sum.form or own.r.shape != self._sum.r.shape:
            raise ValueError(
                f"a connectome {own.r.shape} of the form {own.form.title} is no part of "
                f"{self._sum.r.shape}, {self._sum.form.title}"
            )
        self._sum = _added(self._sum, own)
        self._places += places
        self._rois += rois

    def connectome(self) -> Connectome:
        """Return the connectome of all runs together, in their form.

        Raises
        ------
        ValueError
            There is no run.
        """
        if self._sum is None:
            raise ValueError("no run was added")
        found, form = self._sum, self._sum.form
        r, places = np.empty_like(found.r), np.sqrt(self._places)
        for row, (products, size) in enumerate(zip(found.r, np.sqrt(self._rois), strict=True)):
            r[row] = np.clip(ratio(products, size * places), -1.0, 1.0)
        if found.roi_r is None:
            return replace(found, r=r)
        roi_r = ratio(found.roi_r, np.sqrt(np.outer(self._rois, self._rois)))
        roi_r = np.clip(roi_r, -1.0, 1.0)
        mixing = form.mixing(roi_r)
        if mixing is not None:
            r = mixing.T.astype(np.float32) @ r
        return replace(found, r=r, roi_r=roi_r)


def _added(one: Connectome, other: Connectome) -> Connectome:
    """Add the sums of a run to those of others; the arrays of `one` are changed."""
    one.r[:] += other.r
    if one.roi_r is not None and other.roi_r is not None:
        one.roi_r[:] += other.roi_r
    return replace(
        one,
        frames=one.frames + other.frames,
        seconds=one.seconds + other.seconds,
        residual_dof=one.residual_dof + other.residual_dof,
    )
