"""Intervene in people's effective connectivity, of a linear core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, T_INTERVAL, Column
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import EXCLUDED, SEEN, left_out_table, seen_on_page
from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.analyses.analysis import LinearAnalysis
from bids_dtg.dynamics.analyses.linear_simulation import sessions_of
from bids_dtg.dynamics.bundle.group_effective import (
    GROUP_EFFECTIVE,
    read_group_effective,
    write_group_effective,
)
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.effective_connectivity import (
    PERSON_STEPS,
    EffectiveConnectivity,
    EffectiveModel,
)
from bids_dtg.dynamics.interventions import STIMULATION, Intervention, Retest
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.retest import covariances_of
from bids_dtg.files.array_store import write_npz
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, Matrices, PageSection, Table
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import bootstrap_interval, t_interval, wilson_interval
from bids_dtg.stats.splits import family_numbers
from bids_dtg.stats.verdict import (
    FEWEST,
    NO_EVIDENCE,
    corrected,
    judge_differences,
    not_computable,
)

Array = NDArray[np.float64]

_EFFECTS, _REGIONS = "desc-interventions_effects", "desc-interventions_regions"
_PEOPLE, _FIT = "desc-interventions_people", "desc-effective_scores"
CONNECTIVITY_FILE = "desc-effective_connectivity.npz"
_CAN_WRITE = (
    *(_EFFECTS, _REGIONS, _PEOPLE, _FIT, CONNECTIVITY_FILE.removesuffix(".npz"), EXCLUDED),
    GROUP_EFFECTIVE.removesuffix(".safetensors"),
)
_OWN, _NOT_OWN = "the person's own", "less than others'"
_WHAT = (
    "change of functional connectivity (r) over pairs of regions that are left; of a stimulation, "
    "of regions' means in standard deviations, without the region itself"
)
_RETEST = (
    "Pearson r of the effect in the first session with that in the other one, over pairs of "
    "regions (stimulation: regions)"
)
_EFFECT_COLUMNS = (
    Column("name", "Intervention", "intervention"),
    Column("kind", "lesion, stimulation or gain"),
    Column("people", "People whose activity has bounds with and without it"),
    Column("unbounded", "People whose activity would grow without bounds with it"),
    Column(
        "size",
        f"Mean size of the {_WHAT}; first session, mean over people",
        "size",
        interval=BY_PEOPLE,
    ),
    Column("change", "The same with its sign", "change", interval=BY_PEOPLE),
    Column("retest", f"{_RETEST}, mean over people", "retest r", interval=BY_PEOPLE),
    Column(
        "others",
        "The null: the same r with the other session of other people, mean over people",
        "others' r",
        interval=BY_PEOPLE,
    ),
    Column("own", "Difference of both", "own - others'", interval=T_INTERVAL),
    Column("own_p", "Two-sided p of the difference, by sign flips over people, corrected (FDR)"),
    Column(
        "verdict",
        f"Whether the effect is the person's own: more like the person's other session than "
        f"others'; needs {FEWEST} people, an interval without 0, and p up to 0.05",
    ),
    Column(
        "individual",
        "r of both sessions' effects after each session's mean over people is subtracted",
        "individual r",
        interval=BY_PEOPLE,
    ),
)
_REGION_COLUMNS = (
    Column("intervention", "Intervention"),
    Column("region", "Region"),
    Column(
        "change",
        "Mean change of the region's functional connectivity (r) with those that are left; of a "
        "stimulation, of its mean in standard deviations; first session, mean over people; n/a: "
        "the region itself",
        interval=T_INTERVAL,
    ),
)
_PEOPLE_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("session", "Session"),
    Column("intervention", "Intervention"),
    Column("size", f"Mean size of the {_WHAT}; n/a: activity would grow without bounds"),
    Column("change", "The same with its sign"),
    Column("retest", f"{_RETEST}; n/a: no other session"),
)
_FIT_COLUMNS = (
    Column("people", "Number of people"),
    Column(
        "fit_own",
        "Pearson r of functional connectivity by effective connectivity with the measured one of "
        "the same session, mean over people",
        "FC r, same session",
        interval=BY_PEOPLE,
    ),
    Column("fit", "The same with the other session", "FC r, other session", interval=BY_PEOPLE),
    Column(
        "retest",
        "r of both sessions' effective connectivity over connections, each less the mean over "
        "people; mean over people",
        "individual r of connections",
        interval=BY_PEOPLE,
    ),
    Column(
        "identified",
        "Share of people whose difference from the mean over people is most like that of their "
        "own other session",
        "identified",
        interval="95 % interval (Wilson)",
    ),
)
_ON_PAGE = ("name", "people", "size", "change", "retest", "others", "verdict", "individual")
_MOST_MATRICES = 4  # interventions whose change is drawn
_MOST_ROWS = 20  # interventions in the table of the page


@dataclass(frozen=True, eq=False)
class _Session:
    """A session's people with their effective connectivity."""

    name: str
    people: tuple[str, ...]
    families: Mapping[str, str]
    found: tuple[EffectiveConnectivity, ...]
    measured: Array  # (people, edges), functional connectivity

    @classmethod
    def of(cls, name: str, own: PeopleSeries, model: EffectiveModel) -> _Session:
        measured = [covariances_of(own, row) for row in range(len(own.people))]
        return cls(
            name,
            own.people,
            own.families,
            tuple(model.infer(covariances) for covariances in measured),
            np.stack([upper_edges(covariances.values[0]) for covariances in measured]),
        )

    def rows(self, labels: Sequence[str]) -> list[int]:
        return [self.people.index(label) for label in labels]


@dataclass(frozen=True, eq=False)
class _Effects:
    """Effects of an intervention in everybody's sessions."""

    intervention: Intervention
    values: Sequence[Array]  # of each session: (people, values); NaN: without bounds
    both: tuple[str, ...]  # people with bounds in the first two sessions
    kin: NDArray[np.intp]  # numbers of their families
    retest: Retest | None  # of these; None: there is one session

    @classmethod
    def of(cls, intervention: Intervention, sessions: Sequence[_Session]) -> _Effects:
        values = [
            np.stack([intervention.effect(own) for own in session.found]) for session in sessions
        ]
        if len(sessions) < 2:
            return cls(intervention, values, (), family_numbers((), {}), None)
        first, second = sessions[:2]
        bounded = [
            {
                label
                for label, own in zip(session.people, effects, strict=True)
                if np.isfinite(own).any()
            }
            for session, effects in zip((first, second), values, strict=False)
        ]
        both = tuple(label for label in first.people if label in bounded[0] & bounded[1])
        kin = family_numbers(both, first.families)
        retest = Retest.of(values[0][first.rows(both)], values[1][second.rows(both)], kin)
        return cls(intervention, values, both, kin, retest)

    @property
    def bounded(self) -> Array:
        """(people, values) of the first session, of those whose activity has bounds."""
        first = self.values[0]
        return first[np.isfinite(first).any(axis=1)]


def run_linear_interventions(settings: Settings) -> int:
    """Intervene in people's effective connectivity by ``--model``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or an intervention in a region that there is not.
    """
    analysis = LinearAnalysis.prepare(settings, "intervention", *_CAN_WRITE)
    bundle = analysis.bundle
    assert bundle is not None
    asked = _asked(settings, bundle.regions)
    labels, seen = _people(analysis)
    if settings.behaviour.dry_run:
        what = named([own.name for own in asked])
        return analysis.print_plan(f"effects of {what}, tables and a page", labels)
    with analysis.results.begun():
        analysis.describe()
        model = _started(bundle, analysis.results)
        sessions = []
        for name, series in list(sessions_of(analysis, labels).items())[:2]:
            who = counted(len(series.people), "participant")
            say(f"effective connectivity of {who}, {name} …")
            sessions.append(_Session.of(name, series, model))
        say(f"{counted(len(asked), 'intervention')} …")
        effects = [_Effects.of(own, sessions) for own in asked]
        if seen:
            analysis.results.table(EXCLUDED, left_out_table(dict.fromkeys(seen, SEEN)))
        _write(analysis, model, sessions, effects, seen)
    return 0


def _started(bundle: LinearBundle, results: ResultFolder) -> EffectiveModel:
    """Return what people are fitted with; where everybody starts is read if it is known."""
    model = bundle.effective()
    path = results.path / GROUP_EFFECTIVE
    start = read_group_effective(path, bundle.identity, bundle.part.regions)
    if start is None:
        say(f"effective connectivity of the training people, kept as {path} …")
        start = model.start
    # Written at once: a call that is interrupted after it does not lose it.
    write_group_effective(results.add(GROUP_EFFECTIVE), start, bundle.identity)
    return replace(model, known_start=start)


def _asked(settings: Settings, regions: Sequence[str]) -> tuple[Intervention, ...]:
    """Return the interventions of a call; without any, the lesion of each region in turn."""
    options = settings.statistics
    asked = [
        *(Intervention.lesion(text, regions) for text in options.lesion),
        *(Intervention.stimulation(text, regions) for text in options.stimulate),
        *(() if options.gain is None else (Intervention.gain(options.gain),)),
    ]
    names = dict.fromkeys(asked) or [Intervention.lesion(name, regions) for name in regions]
    return tuple(names)


def _people(analysis: LinearAnalysis) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the people to intervene in, and training people who are left out.

    They are those outside the training set where there are enough for a verdict; else everybody.
    """
    there = analysis.inferable()
    bundle = analysis.bundle
    assert bundle is not None
    seen = set(bundle.in_training_set(there, analysis.data_set, analysis.people.sketches(there)))
    others = tuple(label for label in there if label not in seen)
    if len(others) >= FEWEST:
        return others, tuple(label for label in there if label in seen)
    if seen:
        say(
            f"{len(seen)} of {counted(len(there), 'participant')} were trained on, as fewer than "
            f"{FEWEST} others are here"
        )
    return there, ()


def _write(
    analysis: LinearAnalysis,
    model: EffectiveModel,
    sessions: Sequence[_Session],
    effects: Sequence[_Effects],
    seen: Sequence[str],
) -> None:
    regions = analysis.people.regions
    rows = _effect_rows(effects)
    table = ResultTable(_EFFECT_COLUMNS, rows, "What interventions change: a row an intervention")
    fit = ResultTable(_FIT_COLUMNS, [_fit_row(model, sessions)], "Fit of effective connectivity")
    tables = {
        _EFFECTS: table,
        _FIT: fit,
        _REGIONS: ResultTable(
            _REGION_COLUMNS,
            [row for own in effects for row in _region_rows(own, regions)],
            "Change of regions: a row a region of an intervention",
        ),
        _PEOPLE: ResultTable(
            _PEOPLE_COLUMNS,
            [row for own in effects for row in _people_rows(own, sessions)],
            "Size of effects: a row an intervention in a person's session",
        ),
    }
    write_npz(
        analysis.results.add(CONNECTIVITY_FILE),
        {
            "places": np.array(regions),
            "tr_seconds": np.array(model.tr_seconds),
            "allowed": model.allowed,
            "group": model.start.coupling.astype(np.float32),
            **{
                f"{what}_{session.name}": np.array(values)
                for session in sessions
                for what, values in (
                    ("people", session.people),
                    ("effective", [own.coupling.astype(np.float32) for own in session.found]),
                    ("noise", [own.noise.astype(np.float32) for own in session.found]),
                )
            },
        },
    )
    analysis.results.json(
        CONNECTIVITY_FILE.removesuffix(".npz"),
        {
            "Description": "Effective connectivity of each session's people under effective_*: "
            "(people, places, places), 1/s, rows are driven by columns; noise_*: variance that a "
            "place gains in a second; group: the training people's; allowed: which connections "
            f"there may be. {NO_EVIDENCE}",
        },
    )
    analysis.write(tables, _page(analysis, model, sessions, effects, (table, fit), seen))
    for row in rows[:5]:
        say(f"{row['name']}: mean size {row['size'].mean:.4f}")
    say(f"tables: {analysis.results.path}")


def _effect_rows(effects: Sequence[_Effects]) -> list[dict[str, Any]]:
    rows, judged = [], []
    for own in effects:
        known = own.bounded
        sizes = np.nanmean(np.abs(known), axis=1) if len(known) else np.array([])
        changes = np.nanmean(known, axis=1) if len(known) else np.array([])
        row: dict[str, Any] = {
            "name": own.intervention.name,
            "kind": own.intervention.kind,
            "people": len(known),
            "unbounded": len(own.values[0]) - len(known),
            "size": bootstrap_interval(sizes),
            "change": bootstrap_interval(changes),
        }
        if own.retest is not None:
            row |= {
                "retest": bootstrap_interval(own.retest.own),
                "others": bootstrap_interval(own.retest.others),
                "individual": bootstrap_interval(own.retest.individual),
            }
            judged.append(judge_differences(own.retest.own - own.retest.others, own.kin))
        rows.append(row)
    if judged:
        for row, found in zip(rows, corrected(judged), strict=True):
            row |= {**found.columns("own"), "verdict": found.named(_OWN, _NOT_OWN)}
            if row["unbounded"] and not row["people"]:
                row["verdict"] = not_computable("activity grows without bounds")
    return rows


def _region_rows(own: _Effects, regions: Sequence[str]) -> list[dict[str, Any]]:
    by_region = np.array([own.intervention.by_region(effect) for effect in own.bounded])
    if not len(by_region):
        return []
    return [
        {"intervention": own.intervention.name, "region": name, "change": t_interval(values)}
        for name, values in zip(regions, by_region.T, strict=True)
    ]


def _people_rows(own: _Effects, sessions: Sequence[_Session]) -> list[dict[str, Any]]:
    again = {} if own.retest is None else dict(zip(own.both, own.retest.own, strict=True))
    rows = []
    for session, values in zip(sessions, own.values, strict=True):
        for label, effect in zip(session.people, values, strict=True):
            row: dict[str, Any] = {"participant_id": f"sub-{label}", "session": session.name}
            row |= {"intervention": own.intervention.name, "retest": again.get(label)}
            if np.isfinite(effect).any():
                row |= {"size": np.nanmean(np.abs(effect)), "change": np.nanmean(effect)}
            rows.append(row)
    return rows


def _fit_row(model: EffectiveModel, sessions: Sequence[_Session]) -> dict[str, Any]:
    first = sessions[0]
    said = np.stack([upper_edges(own.connectivity) for own in first.found])
    row: dict[str, Any] = {
        "people": len(first.people),
        "fit_own": bootstrap_interval(correlation(said, first.measured)),
    }
    if len(sessions) > 1:
        second = sessions[1]
        both = tuple(label for label in first.people if label in second.people)
        rows, later = first.rows(both), second.rows(both)
        row["fit"] = bootstrap_interval(correlation(said[rows], second.measured[later]))
        found = Retest.of(
            np.stack([first.found[row].coupling[model.allowed] for row in rows]),
            np.stack([second.found[row].coupling[model.allowed] for row in later]),
        )
        row["retest"] = bootstrap_interval(found.individual)
        row["identified"] = wilson_interval(found.identified / len(both), len(both))
    return row


def _page(
    analysis: LinearAnalysis,
    model: EffectiveModel,
    sessions: Sequence[_Session],
    effects: Sequence[_Effects],
    tables: tuple[ResultTable, ResultTable],
    seen: Sequence[str],
) -> AnalysisPageFacts:
    bundle, table, fit = analysis.bundle, *tables
    assert bundle is not None
    people = counted(len(sessions[0].people), "participant")
    return AnalysisPageFacts(
        title=analysis.results.title,
        index=f"../../{INDEX}",
        lead=f"{bundle.card.name} {bundle.card.version}, {people} of {analysis.data_set}; "
        f"{' and '.join(session.name for session in sessions)}."
        f"{seen_on_page(dict.fromkeys(seen, SEEN))}",
        flags=_flags(analysis, sessions, table),
        sections=(
            PageSection(
                title="What interventions change",
                text=(
                    "Each person's regions are described by a linear process with independent "
                    "noise (Gilson et al., 2016, doi:10.1371/journal.pcbi.1004762), and the "
                    "intervention is made in that process. A lesion takes out "
                    "connections, a gain multiplies all of them: shown is the change of "
                    "functional connectivity (r) between regions that are left. A stimulation is "
                    "a constant input, which would raise the region by 1 standard deviation if "
                    "it had no connections: shown is the change of other regions' means.",
                    "Retest r compares an effect in two sessions of a person, and others' r the "
                    "effect with that in other people: the null. The effect is the person's own "
                    "where the first is larger by the rule of verdicts. Individual r is what "
                    "remains when the mean over people is subtracted.",
                ),
                tables=(_on_page(table),),
                matrices=_changes(effects, analysis.people.regions),
            ),
            PageSection(
                title="Effective connectivity",
                text=(_allowed_words(bundle.part.connectomes, model),),
                tables=(fit.on_page("Fit over people"),),
                matrices=(
                    Matrices(
                        "Rows are driven by columns (1/s); a region's own decay is left out",
                        {
                            "training people": _away(model.start.coupling),
                            "mean over people": _away(
                                np.mean([own.coupling for own in sessions[0].found], axis=0)
                            ),
                        },
                    ),
                ),
            ),
        ),
    )


def _on_page(table: ResultTable) -> Table:
    """Return the table of the page: of many interventions, those that change most."""
    rows: list[Any] = list(table.rows)
    notes = []
    if len(rows) > _MOST_ROWS:
        rows = sorted(rows, key=lambda row: -np.nan_to_num(row["size"].mean))[:_MOST_ROWS]
        notes.append(f"The {_MOST_ROWS} that change most, of {len(table.rows)}; the file has all.")
    return replace(table, rows=rows).on_page("Interventions", _ON_PAGE, notes=notes)


def _allowed_words(connectomes: int, model: EffectiveModel) -> str:
    where = (
        f"There may be connections between {model.allowed.mean():.0%} of pairs of regions: where "
        f"half of {counted(connectomes, 'structural connectome')} have one, and between regions "
        "that are each other's like in the two hemispheres."
        if connectomes
        else "There may be connections between all regions, as the model was trained without "
        "structural connectomes."
    )
    return (
        f"{where} Each person's connections are fitted in {PERSON_STEPS} steps from those of the "
        "training people."
    )


def _flags(
    analysis: LinearAnalysis, sessions: Sequence[_Session], table: ResultTable
) -> tuple[Flag, ...]:
    bundle = analysis.bundle
    assert bundle is not None
    found = [Flag("warning", NO_EVIDENCE)]
    if bundle.card.notice:
        found.append(Flag("warning", bundle.card.notice))
    if len(sessions) < 2:
        found.append(Flag("warning", "There is one session: how reliable effects are is not known"))
    grown = [row["name"] for row in table.rows if row["unbounded"]]
    if grown:
        found.append(
            Flag(
                "warning",
                f"Activity of some people would grow without bounds, and they are left out there: "
                f"{named([str(name) for name in grown])}",
            )
        )
    return tuple(found)


def _changes(effects: Sequence[_Effects], regions: Sequence[str]) -> tuple[Matrices, ...]:
    """Return mean changes of functional connectivity as matrices."""
    of_pairs = [own for own in effects if own.intervention.kind != STIMULATION]
    if len(effects) == len(of_pairs) == len(regions) > _MOST_MATRICES:
        by_region = [
            np.mean([own.intervention.by_region(one) for one in own.bounded], axis=0)
            if len(own.bounded)
            else np.full(len(regions), np.nan)
            for own in effects
        ]
        words = "Mean change of each region's functional connectivity (column) by lesions (rows)"
        return (Matrices(words, {"mean over people": np.stack(by_region)}),)
    # Each has a scale of its own: a gain changes far more than the lesion of one connection.
    return tuple(
        Matrices(
            f"Change of functional connectivity, {own.intervention.name}",
            {"mean over people": own.intervention.as_matrix(own.bounded.mean(axis=0))},
        )
        for own in of_pairs[:_MOST_MATRICES]
        if len(own.bounded)
    )


def _away(coupling: Array) -> Array:
    """Return connections, NaN on the diagonal."""
    return np.where(np.eye(len(coupling), dtype=bool), np.nan, coupling)
