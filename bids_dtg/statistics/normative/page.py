"""The page of norms: participants far from the norm given age, sex and site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted
from bids_dtg.report.numbers import figure
from bids_dtg.report.pages.analysis import PageSection, Scatter, Table
from bids_dtg.stats.cohort.normative import EXTREME, Extremes, NormalFit

Figures = NDArray[np.floating[Any]]
LEVEL = 0.05  # of the false discovery rate
_SHOWN = 20  # rows of the tables of participants and regions
_NORMAL_SHARE = 4.55  # per cent of N(0, 1) beyond EXTREME
_PLAIN = "plain z-score: mean and spread of the same other people"


@dataclass(frozen=True, eq=False)
class ContrastNorms:
    """Norms of the regions of one contrast."""

    kind: str  # a value of --feature-sets
    contrast: str  # label; empty: of none
    labels: Sequence[str]  # of the people, without sub-
    names: Sequence[str]  # of the regions
    r2: NDArray[np.float64]  # (regions,), of unseen people
    normative: NormalFit
    plain: NormalFit
    quantiles: NDArray[np.float64]  # (points, 2), of N(0, 1) and of all z-scores
    plain_quantiles: NDArray[np.float64]
    extremes: Extremes

    @property
    def title(self) -> str:
        """Kind and contrast."""
        return f"{self.kind}: {self.contrast}" if self.contrast else self.kind


@dataclass(frozen=True, eq=False)
class KindExtremes:
    """Extreme regions of all contrasts of a kind of features together."""

    kind: str  # a value of --feature-sets
    labels: Sequence[str]  # of the people, without sub-
    extremes: Extremes
    q: NDArray[np.float64]  # (people,), of its p over people


@dataclass(frozen=True, eq=False)
class NormsFound:
    """All findings of a call."""

    contrasts: Sequence[ContrastNorms]
    together: Sequence[KindExtremes]  # of all contrasts of each kind
    covariates: Sequence[str]  # names
    who: Sequence[str]  # sentences on participants, folds, and less reliable scores


def answer(found: NormsFound) -> str:
    """Return the first sentence of the page."""
    people = len({label for one in found.together for label in one.labels})
    unusual = {
        label
        for one in found.together
        for label, own in zip(one.labels, one.q, strict=True)
        if own <= LEVEL
    }
    many = f"{len(unusual)} of {counted(people, 'participant')}" if unusual else "No participant"
    verb = "has" if len(unusual) < 2 else "have"
    return (
        f"{many} {verb} more regions far from the norm (|z| above {EXTREME:g}) than chance gives "
        f"(q of at most {LEVEL:g}, over participants). {_worth(found)}"
    )


def _worth(found: NormsFound) -> str:
    """Describe how much variance the covariates explain in held-out people."""
    r2 = np.concatenate([one.r2 for one in found.contrasts])
    r2 = r2[np.isfinite(r2)]
    if not r2.size:
        return "No region has a norm."
    names = ", ".join(found.covariates)
    none = int((r2 <= 0).sum())
    if none == r2.size:
        return (
            f"In no region do the covariates {names} explain variance in held-out people: all "
            "deviations are plain z-scores, and the norms add nothing."
        )
    share = figure(100 * float(np.median(r2)), 1)
    if np.median(r2) <= 0:
        return (
            f"In {none} of {counted(r2.size, 'region')}, over contrasts, the covariates {names} "
            "explain no variance in held-out people: deviations there are plain z-scores. Of so "
            "many regions, some are above 0 by chance."
        )
    rest = f"; in {none} of them none: deviations there are plain z-scores." if none else "."
    return (
        f"The covariates {names} explain {share} % of the variance in held-out people "
        f"(median of {counted(r2.size, 'region')}, over contrasts){rest}"
    )


def sections(found: NormsFound) -> list[PageSection]:
    """Return the sections of the page."""
    return [
        PageSection("Participants", text=found.who),
        PageSection(
            "How normal the scores are",
            text=(
                "Each participant is scored by norms of people of other folds. Of scores that "
                f"follow N(0, 1), {_NORMAL_SHARE} % are beyond {EXTREME:g}, and 5 % of regions "
                "have a p of at most 0.05 by the Kolmogorov-Smirnov test, but regions are "
                "correlated. Scores of atypical participants vary more.",
            ),
            tables=[_contrasts(found)],
            scatters=[_quantiles(found)],
        ),
        PageSection(
            "Participants far from the norm",
            text=(
                "Chance is given by people simulated from a normal distribution with the "
                "correlations of regions and contrasts here, so these are accounted for. q is "
                "corrected for all participants (Benjamini and Hochberg).",
            ),
            tables=[_people(found)],
        ),
        PageSection("Regions with the largest R²", tables=[_regions(found)]),
    ]


def _contrasts(found: NormsFound) -> Table:
    return Table(
        f"Norms compared with the {_PLAIN}",
        (
            *("Contrast", "regions", "median R²", "R² above 0 (%)"),
            *("sd of z", f"|z| > {EXTREME:g} (%)", "p ≤ 0.05 (%)"),
            *("plain: sd", f"plain: |z| > {EXTREME:g} (%)", "plain: p ≤ 0.05 (%)"),
        ),
        [
            (
                one.title,
                len(one.names),
                _mean(np.median, one.r2),
                _mean(np.mean, 100.0 * (one.r2 > 0)),
                *_normality(one.normative),
                *_normality(one.plain),
            )
            for one in found.contrasts
        ],
        notes=(
            "R²: 1 - squared distance from the norm / squared distance from the mean, of held-out "
            "people. p: of the Kolmogorov-Smirnov test, the share of regions.",
        ),
    )


def _normality(fit: NormalFit) -> tuple[float, float, float]:
    known = np.isfinite(fit.ks_p)
    rejected = 100.0 * (fit.ks_p[known] <= 0.05)
    return (
        _mean(np.median, fit.sd),
        _mean(np.mean, 100.0 * fit.extreme),
        _mean(np.mean, rejected),
    )


def _mean(of: Callable[[Figures], Any], values: Figures) -> float:
    known = values[np.isfinite(values)]
    return float(of(known)) if known.size else float("nan")


def _quantiles(found: NormsFound) -> Scatter:
    """Plot the quantiles of z, averaged over contrasts, against those of N(0, 1)."""
    both = [
        np.nanmean([getattr(one, name) for one in found.contrasts], axis=0)
        for name in ("quantiles", "plain_quantiles")
    ]
    return Scatter(
        "Quantiles of the scores of all regions, mean over contrasts.",
        "quantile of N(0, 1)",
        "quantile of the scores",
        np.concatenate(both),
        ["z from the norm"] * len(both[0]) + ["plain z-score"] * len(both[1]),
        identity=True,
    )


def _people(found: NormsFound) -> Table:
    """List the participants with the most extreme regions, compared with chance."""
    rows: list[tuple[str | float, ...]] = []
    for one in found.together:
        extremes = one.extremes
        most = _most(one.kind, found)
        for n in np.lexsort((-extremes.count, extremes.p)):
            if np.isfinite(extremes.p[n]) and extremes.count[n]:
                counts = (int(extremes.count[n]), float(extremes.expected[n]))
                shares = (float(extremes.usual[n]), float(extremes.p[n]), float(one.q[n]))
                label = one.labels[n]
                rows.append((f"sub-{label}", one.kind, *counts, *shares, most[label]))
    return Table(
        f"The {min(_SHOWN, len(rows))} participants with the smallest p",
        (
            *("Participant", "features", f"|z| > {EXTREME:g}", "expected"),
            *("95 % of people: at most", "p", "q", "most in"),
        ),
        rows[:_SHOWN],
        notes=("All are in the table of participants.",) if len(rows) > _SHOWN else (),
    )


def _most(kind: str, found: NormsFound) -> dict[str, str]:
    """Return the contrast in which each person has most extreme regions, by label."""
    most: dict[str, tuple[int, str]] = {}
    for one in found.contrasts:
        for label, count in zip(one.labels, one.extremes.count.tolist(), strict=True):
            if one.kind == kind and count > most.get(label, (0, ""))[0]:
                most[label] = (count, f"{one.contrast or kind}: {count}")
    return {label: words for label, (_, words) in most.items()}


def _regions(found: NormsFound) -> Table:
    rows = [
        (f"{name}, {one.title}", float(r2), float(sd), 100 * float(extreme))
        for one in found.contrasts
        for name, r2, sd, extreme in zip(
            one.names, one.r2, one.normative.sd, one.normative.extreme, strict=True
        )
        if np.isfinite(r2)
    ]
    rows.sort(key=lambda row: -row[1])
    return Table(
        "The regions of which the covariates explain most",
        ("Region", "R²", "sd of z", f"|z| > {EXTREME:g} (%)"),
        rows[:_SHOWN],
        notes=(
            f"They are the largest of {counted(len(rows), 'region')}, over contrasts: such R² are "
            "too high, and some are above 0 where the covariates explain nothing.",
        ),
    )
