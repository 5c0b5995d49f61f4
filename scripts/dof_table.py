"""Print the table of docs/explanation/cleaning.md: what is left of eight minutes, by censoring."""

from __future__ import annotations

import numpy as np

from bids_dtg.cleaning.design import StopBand
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.training_distribution.limits import LIMITS
from bids_dtg.settings import CleaningOptions

FRAMES, TR_SECONDS, CONFOUNDS = 240, 2.0, 32
HIGH_PASS_HZ, LOW_PASS_HZ = 0.01, 0.1
CENSORED_PERCENT = (0, 10, 18, 20, 22)
SERIES, SEED = 400, 0


def main() -> None:
    """Print the table as Markdown."""
    print(
        "| frames censored | minutes left | degrees of freedom | r of noise, 95 % below | the run |"
    )
    print("|---|---|---|---|---|")
    for percent in CENSORED_PERCENT:
        design = build(percent)
        minutes, left = design.seconds_kept / 60, design.residual_dof()
        print(f"| {percent} % | {minutes:.1f} | {left:.0f} | {noise(design):.2f} | {fate(left)} |")


def build(censored_percent: int) -> TemporalDesign:
    """Return the design of a run with random confounds and randomly censored frames."""
    rng = np.random.default_rng(SEED)
    keep = np.ones(FRAMES, bool)
    keep[rng.permutation(FRAMES)[: FRAMES * censored_percent // 100]] = False
    band = StopBand.outside(FRAMES, TR_SECONDS, high_pass_hz=HIGH_PASS_HZ, low_pass_hz=LOW_PASS_HZ)
    names = [f"confound {number}" for number in range(CONFOUNDS)]
    table = rng.standard_normal((FRAMES, CONFOUNDS))
    return TemporalDesign.build(table, names, keep, TR_SECONDS, stop_band=band.columns)


def noise(design: TemporalDesign) -> float:
    """Return the 95th percentile of |r| of series of noise that were cleaned so."""
    series = np.random.default_rng(SEED + 1).standard_normal((design.frames_kept, SERIES))
    series -= design.basis @ (design.basis.T @ series)
    r = np.corrcoef(series.T)[np.triu_indices(SERIES, 1)]
    return float(np.percentile(np.abs(r), 95))


def fate(left: float) -> str:
    """Say what becomes of a run with so many degrees of freedom."""
    if left < CleaningOptions().min_dof:
        return "left out"
    return ("used", "used, flagged", "used, flagged")[LIMITS["residual_dof"].steps(left)]


if __name__ == "__main__":
    main()
