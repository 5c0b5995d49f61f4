"""Mean connectivity and spectra over people, of measured or simulated sessions, for pages."""

from __future__ import annotations

import numpy as np

from bids_dtg.array_types import Floats, Mask
from bids_dtg.dynamics.measures import bounded, connectivity, spectra
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.report import figures
from bids_dtg.report.page import Section


class SessionMeans:
    """Mean functional connectivity and power; people are added one by one."""

    def __init__(self, tr_seconds: float) -> None:
        self._tr_seconds = tr_seconds
        self._connectivity: Floats = np.zeros(())  # (regions, regions), sum over people
        # (bins,) of each person, mean over sessions and regions.
        self._power: list[Floats] = []
        self.frequency: Floats = np.zeros(0)  # (bins,), Hz

    def add(self, sessions: Floats, keep: Mask | None = None) -> None:
        """Add a person's sessions (sessions, regions, frames), without those that diverged.

        Functional connectivity is computed over the frames of `keep`, (frames,); None: all.
        """
        is_bounded = bounded(sessions)
        if not is_bounded.any():
            return
        used = sessions[is_bounded]
        shown = used if keep is None else used[..., keep]
        self._connectivity = self._connectivity + connectivity(shown).mean(axis=0)
        self.frequency, power = spectra(used, self._tr_seconds)
        self._power.append(power.mean(axis=(0, 1)))

    @property
    def people(self) -> int:
        """Number of people with a session that has not diverged."""
        return len(self._power)

    @property
    def connectivity(self) -> Floats:
        """(regions, regions), mean over people."""
        return self._connectivity / len(self._power)

    @property
    def band(self) -> tuple[Floats, Floats, Floats]:
        """5th percentile, mean and 95th percentile of power over people, (bins - 2,) each."""
        low, high = np.quantile(self._power, (0.05, 0.95), axis=0)
        # The bin at 0 Hz holds only the residual mean, and the last bin is half as wide.
        return low[1:-1], np.mean(self._power, axis=0)[1:-1], high[1:-1]


def compared(people: PeopleSeries, simulated: SessionMeans) -> Section:
    """Return the section of pages that compares simulated sessions with measured ones.

    Its figures are mean connectivity, and spectra with the middle 90 % of people.
    """
    measured = SessionMeans(people.tr_seconds)
    for row, series in enumerate(people.series):
        measured.add(series[None], None if people.keep is None else people.keep[row])
    shown = {"measured": measured, "simulated": simulated}
    if not simulated.people:
        del shown["simulated"]
    connectivities = {name: means.connectivity for name, means in shown.items()}
    bands = {name: means.band for name, means in shown.items()}
    words = "Power, mean over regions; bands: 90 % of people"
    drawn = (
        figures.matrices("Functional connectivity, mean over people", connectivities),
        figures.spectra(words, measured.frequency[1:-1], bands),
    )
    return Section("Simulated and measured", figures=drawn)
