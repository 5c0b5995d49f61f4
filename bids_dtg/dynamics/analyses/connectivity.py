"""Fit of simulated to measured functional connectivity, compared with simple models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, T_INTERVAL, Column
from bids_dtg.connectome.edges import fc_strength
from bids_dtg.dynamics.analyses.fcd import FcdDistances
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.judging.baselines import BASELINES, fit_baseline
from bids_dtg.dynamics.measures import connectivity, fc_fit, spectra
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks, PeopleSeries
from bids_dtg.dynamics.simulation import Inputs, simulate
from bids_dtg.notices import say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import Spectra
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.verdict import BETTER, RULE, TOO_FEW, judge_differences

Row = dict[str, Any]
Values = NDArray[np.floating[Any]]
Sessions = Mapping[str, PeopleSeries]  # by name, of the people who have the session

MODEL, MODEL_WORDS = "model", "the network model"
OTHER_CONNECTOME = "another connectome"
_OTHER_WORDS = "the model with another person's structural connectome, mean over other families"
_MOST_CONNECTOMES = 5  # of other people that are simulated for each person
_WITH_FCD = ("var_1",)  # baselines whose dynamics of connectivity are compared
# Simulations without some inputs, as published: their first states are drawn from the prior.
ABLATIONS: Mapping[str, tuple[Inputs, str]] = {
    "model, from the prior": ("both", "the model, first states of the prior"),
    "external only": ("external", "the model without connections between regions"),
    "network only": ("network", "the model without the external input"),
    "neither": ("none", "the model without both inputs"),
}
ABLATION_SIMULATIONS = 20  # of each person, as published
_BASELINE_SIMULATIONS = 20
# Simulations of each person for predictive checks: the dynamics of connectivity take seconds each.
CHECKED_SIMULATIONS = 20

_SCORES = (
    Column("name", "Name of the model"),
    Column("words", "Description of the model"),
    Column("what", "model (also without some of its inputs), or baseline (also ceilings)"),
    Column("simulations", "Number of simulations of each person"),
    Column("people", "Number of people"),
    Column("unbounded", "Simulations that diverged, and are left out"),
)
_OF_SESSION = (
    Column(
        "fit_{}",
        "Pearson r between upper triangles of functional connectivity of {} and of a simulation, "
        "mean over simulations, then over people",
        "{}",
        interval=BY_PEOPLE,
    ),
    Column(
        "fit_of_mean_{}",
        "Pearson r between functional connectivity of {} and the mean over simulations",
        "{}, mean of simulations",
    ),
    *(
        column
        for of, fit in (("", "fit"), ("of_mean_", "fit of the mean over simulations"))
        for column in (
            Column(
                f"advantage_{of}{{}}",
                f"Difference between the model's {fit} with {{}} and this one, mean over people",
                interval=T_INTERVAL,
            ),
            Column(f"advantage_{of}{{}}_p", "Two-sided p of that, by sign flips over people"),
            Column(f"verdict_{of}{{}}", f"Verdict on the model compared with this: {RULE}"),
        )
    ),
)
_STRENGTH = Column("strength", "Mean functional connectivity of simulations, r", "FC strength")
_OF_BASELINES = (
    Column(
        "endless_fit_{}",
        "Pearson r between functional connectivity of {} and that of infinitely long simulations",
    ),
    Column("one_step_r2_{}", "Share of the variance of {} explained by the frame before"),
)


def score_columns(sessions: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of the table of scores, for sessions by name."""
    names = tuple(sessions)
    return (
        *_SCORES,
        *(column.of(name) for name in names for column in _OF_SESSION),
        _STRENGTH,
        *(column.of(name) for column in _OF_BASELINES for name in names),
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """Measures of simulations that are the same for every person they are compared with."""

    connectivity: Values  # (simulations, regions, regions)
    power: Values  # (bins,), mean over simulations and regions
    frequency: Values  # (bins,), Hz
    unbounded: int  # simulations that diverged, which are left out

    @classmethod
    def of(cls, simulated: Values, tr_seconds: float) -> Measured:
        """Measure simulations (simulations, regions, frames); all may have diverged."""
        bounded = np.isfinite(simulated).all(axis=(1, 2))
        used = simulated[bounded] if bounded.any() else simulated
        frequency, power = spectra(used, tr_seconds)
        return cls(connectivity(used), power.mean(axis=(0, 1)), frequency, int((~bounded).sum()))


@dataclass(eq=False)
class Kept:
    """Measures of simulated sessions, person by person, as sessions themselves are too large."""

    fits: dict[str, list[float]] = field(default_factory=dict)  # by session, one for each person
    mean_fits: dict[str, list[float]] = field(default_factory=dict)  # of the mean of simulations
    kin: dict[str, list[int]] = field(default_factory=dict)  # numbers of these people's families
    strength: list[float] = field(default_factory=list)
    unbounded: int = 0  # simulations that diverged, which are left out
    connectivity: Values | None = None  # (regions, regions), sum over people of their mean
    power: list[Values] = field(default_factory=list)  # (bins,), mean over regions
    frequency: Values | None = None  # (bins,), Hz

    def add(self, label: str, simulated: Values, sessions: Sessions) -> None:
        """Add a person's simulations (simulations, regions, frames); all may have diverged."""
        tr = next(iter(sessions.values())).tr_seconds
        self.add_mean(label, [Measured.of(simulated, tr)], sessions)

    def add_mean(self, label: str, several: Sequence[Measured], sessions: Sessions) -> None:
        """Add the means of what several simulations say of a person, as those of other people."""
        means = [own.connectivity.mean(axis=0) for own in several]
        for name, networks in sessions.items():
            own = _own_connectivity(networks, label)
            if own is not None:
                fits = [float(fc_fit(one.connectivity, own).mean()) for one in several]
                self.fits.setdefault(name, []).append(float(np.mean(fits)))
                of_means = [float(fc_fit(mean, own)) for mean in means]
                self.mean_fits.setdefault(name, []).append(float(np.mean(of_means)))
                family = int(networks.kin[networks.people.index(label)])
                self.kin.setdefault(name, []).append(family)
        strengths = [float(fc_strength(one.connectivity).mean()) for one in several]
        self.strength.append(float(np.mean(strengths)))
        self.unbounded += sum(one.unbounded for one in several)
        mean = np.mean(means, axis=0)
        self.connectivity = mean if self.connectivity is None else self.connectivity + mean
        self.frequency = several[0].frequency
        self.power.append(np.mean([one.power for one in several], axis=0))

    @property
    def mean_connectivity(self) -> Values:
        """(regions, regions), mean over people."""
        assert self.connectivity is not None
        mean: Values = self.connectivity / len(self.strength)
        return mean

    def row(
        self, name: str, words: str, what: str, simulations: int, model: Kept | None = None
    ) -> Row:
        """Return the row of the table of scores, with verdicts on `model` compared with these."""
        row: Row = {"name": name, "words": words, "what": what, "simulations": simulations}
        row |= {"people": len(self.strength), "unbounded": self.unbounded}
        for session, fits in self.fits.items():
            interval = bootstrap_interval(np.array(fits))
            row |= {
                f"fit_{session}": interval,
                f"fit_of_mean_{session}": float(np.mean(self.mean_fits[session])),
            }
            if model is not None:
                for of, ours, theirs in (
                    ("", model.fits, self.fits),
                    ("of_mean_", model.mean_fits, self.mean_fits),
                ):
                    advantage = np.subtract(ours[session], theirs[session])
                    kin = np.array(self.kin[session]) if self.kin else None
                    found = judge_differences(advantage, kin)
                    row |= found.columns(f"advantage_{of}{session}")
                    row[f"verdict_{of}{session}"] = found.word
        return row | {"strength": float(np.mean(self.strength))}


def measured(networks: PeopleSeries) -> Kept:
    """Return the same measures of measured sessions, used in place of simulations."""
    kept = Kept()
    for label, series in zip(networks.people, networks.series, strict=True):
        kept.add(label, series[None], {"own": networks})
    return kept


def model_simulations(
    model: NetworkModel,
    networks: Networks,
    inferred: Inferred,
    kept: Kept,
    fcd: FcdDistances,
    *,
    simulations: int,
    seed: int,
) -> Iterator[tuple[Values, Values]]:
    """Simulate people; yield each person's own session and simulated ones, and score them all.

    First states are drawn from the posterior, as published for the fit of functional connectivity.
    """
    found = simulate(model, networks, inferred, simulations=simulations, seed=seed)
    for label, series, simulated in zip(networks.people, networks.series, found, strict=True):
        kept.add(label, simulated, fcd.sessions)
        fcd.add(MODEL, MODEL_WORDS, "model", label, simulated)
        yield series, simulated[:CHECKED_SIMULATIONS]


def ablation_rows(
    model: NetworkModel,
    networks: Networks,
    inferred: Inferred,
    sessions: Sessions,
    whole: Kept,
    *,
    simulations: int,
    seed: int,
) -> list[Row]:
    """Return the scores of simulations without some inputs, compared with the whole model."""
    rows = []
    for name, (inputs, words) in ABLATIONS.items():
        if inputs in ("both", "external") and not model.recipe.external_inputs and name != _PRIOR:
            continue
        say(f"simulating: {words}")
        kept = Kept()
        found = simulate(
            model,
            networks,
            inferred,
            simulations=simulations,
            seed=seed,
            first="prior",
            inputs=inputs,
        )
        for label, simulated in zip(networks.people, found, strict=True):
            kept.add(label, simulated, sessions)
        rows.append(kept.row(name, words, "model", simulations, whole))
    return rows


def other_connectome_rows(
    model: NetworkModel,
    networks: Networks,
    known: tuple[str, ...],
    whole: Kept,
    fcd: FcdDistances,
    *,
    simulations: int,
    seed: int,
) -> list[Row]:
    """Return the scores with other people's structural connectomes, read and simulated.

    They are means over people of other families: all of them, or `_MOST_CONNECTOMES` of many.
    Everything else, the person's series and random numbers too, is as in the whole model. Where
    everybody has the same structural connectome, or is of one family, there is no row.
    """
    chosen = [_some(np.flatnonzero(apart)) for apart in networks.others]
    number = min(map(len, chosen))
    if not number or not np.ptp(networks.weights, axis=0).any():
        return []
    say(f"simulating: {_OTHER_WORDS}")
    measures: list[list[Measured]] = [[] for _ in networks.people]
    for turn in range(number):
        rows = [own[turn] for own in chosen]
        others = replace(networks, weights=networks.weights[rows])
        inferred = infer(model, others, known)
        found = simulate(model, others, inferred, simulations=simulations, seed=seed)
        for label, own, simulated in zip(networks.people, measures, found, strict=True):
            own.append(Measured.of(simulated, networks.tr_seconds))
            if turn == 0:  # those of all others take as long as all else together
                fcd.add(OTHER_CONNECTOME, _OTHER_WORDS, "model", label, simulated)
    kept = Kept()
    for label, own in zip(networks.people, measures, strict=True):
        kept.add_mean(label, own, fcd.sessions)
    return [kept.row(OTHER_CONNECTOME, _OTHER_WORDS, "model", number * simulations, whole)]


def _some(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return so many rows as are simulated, evenly over all."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_CONNECTOMES))
    return rows[np.unique(places.round().astype(np.intp))]


_PRIOR = next(iter(ABLATIONS))


def baseline_rows(
    networks: Networks,
    model: Kept,
    fcd: FcdDistances,
    *,
    seed: int,
) -> list[Row]:
    """Return the scores of simple models and ceilings, fitted on the session of `networks`.

    They are the baselines of the network model, `model`.
    """
    rows = []
    for baseline in BASELINES:
        if not baseline.fits(networks):
            continue
        say(f"simulating: {baseline.words}")
        kept, rng = Kept(), np.random.default_rng(seed)
        endless: dict[str, list[float]] = {}
        next_frame: dict[str, list[float]] = {}
        processes, measures = fit_baseline(baseline, networks), []
        for label, process in zip(networks.people, processes, strict=True):
            simulated = process.simulate(_BASELINE_SIMULATIONS, networks.frames, rng)
            measures.append(Measured.of(simulated, networks.tr_seconds))
            if baseline.name in _WITH_FCD:
                fcd.add(baseline.name, baseline.words, "baseline", label, simulated)
        for label, by in zip(networks.people, baseline.judges(networks), strict=True):
            rows_of = np.flatnonzero(by)
            kept.add_mean(label, [measures[row] for row in rows_of], fcd.sessions)
            for name, session in fcd.sessions.items():
                own = _own_connectivity(session, label)
                if own is not None:
                    fits = [float(fc_fit(processes[row].connectivity, own)) for row in rows_of]
                    endless.setdefault(name, []).append(float(np.mean(fits)))
                    series = session.series[session.people.index(label)]
                    r2 = [processes[row].one_step_r2(series) for row in rows_of]
                    next_frame.setdefault(name, []).append(float(np.mean(r2)))
        row = kept.row(baseline.name, baseline.words, "baseline", _BASELINE_SIMULATIONS, model)
        row |= {f"endless_fit_{name}": _mean(fits) for name, fits in endless.items()}
        row |= {f"one_step_r2_{name}": _mean(r2) for name, r2 in next_frame.items()}
        rows.append(row)
    return rows


def same_by_another(session: str, rows: Sequence[Row]) -> list[Flag]:
    """Warn if simulations with another person's structural connectome fit a session as well.

    Parameters
    ----------
    session
        Name of the session.
    rows
        Rows of the table of scores, the model's first.

    Returns
    -------
    list of Flag
        Empty where the own one is better, there is no such row, or too few people to judge.
    """
    found = [row for row in rows if row["name"] == OTHER_CONNECTOME]
    verdict = found[0].get(f"verdict_{session}") if found else None
    if verdict in (None, BETTER, TOO_FEW):
        return []
    text = (
        f"Simulations with another person's structural connectome fit {session} as well "
        f"({mean_fit(found[0], session):.3f}; own {mean_fit(rows[0], session):.3f}): what the "
        "model says of a person does not come from the person's connections"
    )
    return [Flag("warning", text)]


def mean_fit(row: Row, session: str) -> float:
    """Return the mean over people of a row's fit; NaN if nobody has the session."""
    fit = row.get(f"fit_{session}")
    return np.nan if fit is None else float(fit.mean)


def _mean(values: list[float]) -> float | None:
    """Return the mean of finite values; None if there are none, as for white noise."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _own_connectivity(networks: PeopleSeries, label: str) -> Values | None:
    """Return a person's measured connectivity; None if the person lacks the session."""
    if label not in networks.people:
        return None
    return connectivity(networks.series[networks.people.index(label)])


def page_spectra(kept: Mapping[str, Kept]) -> tuple[Spectra, ...]:
    """Return mean spectra over regions with the middle 90 % of people, for a page."""
    frequency = next(iter(kept.values())).frequency
    if frequency is None:
        return ()
    bands = {}
    for name, own in kept.items():
        low, high = np.quantile(own.power, (0.05, 0.95), axis=0)
        bands[name] = (low, np.mean(own.power, axis=0), high)
    # The bin at 0 Hz has only the residual mean, and the last bin is half as wide.
    bands = {name: tuple(part[1:-1] for part in band) for name, band in bands.items()}
    return (Spectra("Power, mean over regions; bands: 90 % of people", frequency[1:-1], bands),)
