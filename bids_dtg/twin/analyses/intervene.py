"""Move people's connectomes along gradients of a twin's behaviour; write tables and a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices
from bids_dtg.cohort.recognised_participants import (
    EXCLUDED,
    left_out_table,
    seen_on_page,
)
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.array_store import write_npz
from bids_dtg.files.columns import BY_PEOPLE, Column
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.grid import standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES
from bids_dtg.notices import counted, named, say
from bids_dtg.participants.parcels import read_atlases
from bids_dtg.report import figures
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Page, Section
from bids_dtg.report.pictures import draw_glass_brain, draw_surfaces, encode
from bids_dtg.report.tables import Table
from bids_dtg.settings import Settings
from bids_dtg.stats.paired import Interval, bootstrap_interval
from bids_dtg.stats.splits import family_numbers
from bids_dtg.stats.verdict import (
    NO_EVIDENCE,
    Verdict,
    corrected,
    family_means,
    not_computable,
)
from bids_dtg.twin.analyses.analysis import TwinAnalysis, refuse_training_options
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.interventions import (
    FEWEST_PEOPLE,
    STEP_SIZES,
    Slope,
    correlation_of,
    evidence_of,
    functions_of,
    gradients_of,
    held_with,
    observed_functions,
    permuted_evidence,
    predicted_functions,
    selective,
    sign_of,
    slope_of,
    varies,
)
from bids_dtg.twin.judging.predictions import Cohort
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.times import (
    ACCURACY,
    EFFECT,
    RT,
    Ridges,
    Target,
    fit_ridges,
    measures_of,
    observed_measures,
)

PERMUTATIONS = 200
_AT = 2.0  # SD: the step of verdicts, tables of people and pages
_FEWEST_FITTED = 4  # training people, for ridges of permuted behaviour
_STRONGEST = 200  # edges of each function in the table
_MS, _PERCENT = 1000.0, 100.0
_UNITS = "ms; accuracy in %; BOLD in SD"
_UNPERMUTED = "BOLD is not permuted"
_UNCALIBRATED = "selective moves are not calibrated"
_ALL, _SELECTIVE = "all", "selective"  # ways to move
DIRECTIONS = "desc-directions_edges.npz"
_OF_MOVES = "desc-moves_judged"
_CAN_WRITE = (
    _OF_MOVES,
    "desc-functions_changes",
    "desc-people_changes",
    "desc-edges_attribution",
    "desc-directions_edges",
    EXCLUDED,
)
Row = dict[str, Any]
# Connectomes, mean times, covariates and numbers of families of training people; their ridges.
_Known = tuple[tuple[Floats, Float64, Float64 | None, Indices], Ridges]
_FUNCTION = Column(
    "function",
    "Function of the twins' behaviour: mean response time of a task (rt), that in the second "
    "condition minus the first (effect), s; probability of the correct button (accuracy); response "
    "of a region, second condition minus the first, in SD of the training people's BOLD",
)
_DIRECTION = Column(
    "direction", "Function to be changed, and whether it is lowered or raised"
)
_WAY = Column(
    "way",
    "all: along the difference between people in the function; selective: the part of it along "
    "which other predicted mean times do not differ",
)
_STEP = Column(
    "step_size", "Size of the step, in standard deviations of the function over people"
)
_JUDGED = (
    *(_DIRECTION, _WAY, _FUNCTION),
    Column(
        "verdict",
        f"lowered, raised and the opposite need {FEWEST_PEOPLE} participants (a family counts as "
        "one), a 95 % interval of the calibrated change without 0, and p of permuted behaviour up "
        "to 0.05; otherwise the words say what is missing",
    ),
    Column("why", "What is missing for a verdict"),
    Column(
        "change",
        f"Mean change at {_AT:g} SD, by the twins' prediction",
        interval=BY_PEOPLE,
    ),
    Column(
        "calibrated",
        "The change multiplied by the slope of observed on predicted values over people outside "
        "the training set",
        interval="95 % interval of the slope, by bootstrap over families",
    ),
    Column(
        "p",
        "p of as much evidence under permuted behaviour, corrected for all functions",
    ),
    Column("slope", "Slope of observed on predicted values over people"),
    Column("r", "r of observed with predicted values over people"),
    Column("evidence", "Change that ridges predict at one SD, multiplied by r"),
    Column("permuted_as_large", "Permutations with as much evidence"),
    Column("permutations", "Permutations of behaviour over training participants"),
    Column("size", "Root mean square over edges of the step, Fisher z"),
)
_CHANGES = (
    *(_DIRECTION, _WAY, _STEP, _FUNCTION),
    Column("intended", "Whether the move is meant to change this function"),
    Column("before", "Mean over people before the step"),
    Column("after", "Mean over people after the step"),
    Column("change", "Mean change", interval=BY_PEOPLE),
    Column("people", "How many people; a family counts as one, by its mean"),
)
_PEOPLE = (
    Column("participant_id", "Participant"),
    *(_DIRECTION, _WAY, _FUNCTION),
    Column("change", f"Change of the participant's twin at {_AT:g} SD"),
    Column("level_before", "Value of the function for the twin before the step"),
    Column("observed_level", "Observed value of the function"),
)
_EDGES = (
    _FUNCTION,
    Column("rank", "Rank by size, 1 the largest"),
    Column("edge", "Number of the edge: pairs of regions row by row, from 1"),
    *Column("region_{}", "Region {} of the edge").each((1, 2)),
    Column(
        "per_z",
        "Change of the function per unit of Fisher z of the edge, mean over people",
    ),
)


@dataclass(frozen=True, eq=False)
class _Move:
    """A direction, and the functions of people's twins after steps along it."""

    target: int  # row of the function
    keys: Row  # direction, way and function, in words
    delta: Float64  # (edges,): a step of one SD
    after: tuple[Float64, ...]  # by step size: (people, functions)
    change: Float64  # (people, functions): by the step of verdicts

    @property
    def words(self) -> str:
        """Direction and way."""
        return f"{self.keys['direction']}, {self.keys['way']}"


@dataclass(frozen=True, eq=False)
class _Study:
    """Everything that tables and page show."""

    functions: tuple[Target, ...]
    people: Cohort
    gradients: Float64  # (functions, edges)
    before: Float64  # (people, functions)
    observed: Float64
    refused: dict[str, str]  # by function: why nothing is moved
    slopes: tuple[Slope, ...] = ()
    moves: tuple[_Move, ...] = ()
    # By function: evidence, and that of permuted behaviour.
    null: dict[str, Row] = field(default_factory=dict)
    without_null: str = "no function is predicted"  # why there is none

    def mean(self, values: Float64) -> Interval:
        """Return the mean of changes (people,); a family is resampled, and counts, as one."""
        return bootstrap_interval(family_means(values, self.people.kin))


def run_interventions(settings: Settings) -> int:
    """Intervene in the twins of `--model`; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or too few people outside the training set.
    """
    refuse_training_options(settings)
    analysis = TwinAnalysis.prepare(settings, "intervention", *_CAN_WRITE)
    bundle = analysis.model
    unseen, seen = analysis.require_unseen(
        _FEWEST_FITTED, "ridges of permuted behaviour"
    )
    families = np.unique(family_numbers(unseen, analysis.people.families.by_label))
    if len(families) < FEWEST_PEOPLE:
        raise DatasetError(
            f"{counted(families, 'participant')} outside the training set of "
            f"{bundle.name} have a connectome and events here",
            expected=f"{FEWEST_PEOPLE} or more (a family counts as one), who define the moves",
            remedy="give files of more people, or train with --split-file, which keeps some apart",
        )
    number = settings.statistics.permutations
    permutations = PERMUTATIONS if number is None else number
    if settings.behaviour.dry_run:
        return analysis.print_plan(
            "gradients, moves of connectomes, tables and a page", unseen
        )
    people = analysis.cohort(unseen)
    training = analysis.cohort(seen) if len(seen) >= _FEWEST_FITTED else None
    with analysis.writing():
        study = _studied(
            bundle, people, training, permutations, settings.modelling.seed
        )
        regions = _region_names(bundle, analysis.people.source.regions)
        tables = _tables(study, regions)
        if analysis.seen:
            tables[EXCLUDED] = left_out_table(analysis.seen)
        _write_directions(analysis, study, regions)
        judged = tables[_OF_MOVES].rows
        analysis.write(tables, _page(analysis, bundle, study, regions, judged))
    return 0


def _studied(
    bundle: TwinBundle,
    people: Cohort,
    training: Cohort | None,
    permutations: int,
    seed: int,
) -> _Study:
    fitted, adjustment = bundle.fitted(), bundle.adjustment
    functions, edges = functions_of(fitted.tasks, fitted.bold), people.edges(adjustment)
    observed = observed_functions(people.segments, fitted.bold, people.bold)
    training_data = None
    if training is not None and fitted.twin.group() is not None:
        measures = observed_measures(training.segments)
        covariates = training.taken_out(adjustment)
        values = training.edges(adjustment), measures, covariates
        training_data = (*values, training.kin), fit_ridges(*values)
    unpredicted = _unpredicted(fitted, training_data)
    if all(function.name in unpredicted for function in functions):
        say("no twin is run, as connectomes are not shown to predict anything")
        gradients = np.zeros((len(functions), edges.shape[1]))
        before = np.full(observed.shape, np.nan)
        return _Study(functions, people, gradients, before, observed, unpredicted)
    participants = counted(people.labels, "participant")
    say(f"running twins of {participants} outside the training set")
    before = predicted_functions(fitted, edges, people.segments)
    slopes = tuple(
        slope_of(*before_and_observed, people.kin, seed=seed)
        for before_and_observed in zip(before.T, observed.T, strict=True)
    )
    say("gradients …")
    gradients, by_measures = gradients_of(fitted, edges, people.segments, seed=seed)
    if by_measures is None and training_data is not None:
        by_measures = _in_measures(
            gradients[: len(functions_of(fitted.tasks))], edges, training_data[1]
        )
    moves, refused = [], {}
    for row, function in enumerate(functions):
        if why := unpredicted.get(function.name) or slopes[row].why_not:
            refused[function.name] = why
            continue
        ways: dict[str, list[int]] = {_ALL: []}
        if held := held_with(functions, row):
            ways[_SELECTIVE] = held
        for way, held_rows in ways.items():
            say(f"{_named(function)} ({way}) …")
            delta = sign_of(function) * selective(gradients, row, held_rows, edges)
            after = tuple(
                predicted_functions(fitted, edges + size * delta, people.segments)
                for size in STEP_SIZES
            )
            keys = _keys(function, way)
            change = after[STEP_SIZES.index(_AT)] - before
            moves.append(_Move(row, keys, delta, after, change))
    null = _null(
        fitted, edges, training_data, by_measures, observed, permutations, seed
    )
    return _Study(
        functions,
        people,
        gradients,
        before,
        observed,
        refused,
        slopes,
        tuple(moves),
        *null,
    )


def _in_measures(gradients: Float64, connectomes: Floats, ridges: Ridges) -> Float64:
    """Return gradients in predicted measures, (functions, measures), of gradients in edges.

    First layers of hypernetworks follow the ridges, so a function is nearly linear in their
    predictions; what it follows besides is left out.
    """
    centred = connectomes - np.mean(connectomes, axis=0)
    weights = np.linalg.lstsq(
        centred @ ridges.weights, centred @ gradients.T, rcond=None
    )[0]
    return np.asarray(weights.T)


def _unpredicted(fitted: Fitted, training: _Known | None) -> dict[str, str]:
    """Return the reason for each function that connectomes are not considered to predict."""
    reasons = {}
    if (bold := fitted.bold) is not None:
        why = "connectomes are not shown to predict the region"
        shut = [
            name
            for name, differs in zip(
                bold.regions, bold.differ(fitted.twin), strict=True
            )
            if not differs
        ]
        reasons = {
            f.name: why for f in functions_of(fitted.tasks, bold) if f.what in shut
        }
    if not fitted.twin.differ:
        why = "all twins are the group's network"
        return reasons | {function.name: why for function in functions_of(fitted.tasks)}
    if training is None:
        return reasons
    return reasons | {
        target.name: "the ridge on connectomes does not beat the mean of the training people"
        for target, good in zip(
            measures_of(fitted.tasks), training[1].predictable, strict=True
        )
        if not good
    }


def _null(
    fitted: Fitted,
    unseen: Floats,
    training: _Known | None,
    gradients: Float64 | None,
    observed: Float64,
    permutations: int,
    seed: int,
) -> tuple[dict[str, Row], str]:
    """Return the evidence of functions and of permuted behaviour, or why there is none."""
    if fitted.twin.group() is None:
        return {}, "each permutation of a published hypernetwork would need a training"
    if training is None or gradients is None:
        return (
            {},
            f"{_FEWEST_FITTED} or more of the model's training participants are needed",
        )
    if not permutations:
        return {}, "no permutations were asked for"
    say(f"{counted(permutations, 'permutation')} of behaviour …")
    values, ridges = training
    observed = observed[:, : len(gradients)]
    evidence = evidence_of(ridges.predict(unseen), gradients, observed)
    permuted = permuted_evidence(
        values, unseen, gradients, observed, permutations=permutations, seed=seed
    )
    as_large = (permuted >= evidence).sum(axis=0)
    # BOLD is not permuted.
    names = [function.name for function in functions_of(fitted.tasks)]
    return {
        name: {
            "evidence": evidence_of_function,
            "permuted_as_large": number,
            "permutations": permutations,
        }
        for name, evidence_of_function, number in zip(
            names, evidence.tolist(), as_large.tolist(), strict=True
        )
    }, ""


def _keys(function: Target, way: str) -> Row:
    """Return the cells of tables that tell a move: direction, way and function."""
    return {"direction": _named(function), "way": way, "function": function.name}


def _named(function: Target) -> str:
    word = "raise" if sign_of(function) > 0 else "lower"
    return f"{word} {words_of(function)}"


def words_of(function: Target) -> str:
    """Return a function's name in words, for example ``stroop response time``."""
    words = {RT: "response time", EFFECT: EFFECT, ACCURACY: ACCURACY}
    return f"{function.task} {words.get(function.what, f'response of {function.what}')}"


def _tables(study: _Study, regions: Sequence[str]) -> dict[str, ResultTable]:
    return {
        _OF_MOVES: ResultTable(
            _JUDGED, _judged_rows(study), "Verdicts: one row per direction and way"
        ),
        "desc-functions_changes": ResultTable(
            _CHANGES,
            list(_change_rows(study)),
            "Means over people: one row per direction, way, step size and function",
        ),
        "desc-people_changes": ResultTable(
            _PEOPLE,
            list(_people_rows(study)),
            "Each participant: one row per participant, direction and way",
        ),
        "desc-edges_attribution": ResultTable(
            _EDGES,
            list(_edge_rows(study, regions)),
            "The edges with the largest gradient of each function",
        ),
    }


def _judged_rows(study: _Study) -> list[Row]:
    rows: list[Row] = []
    verdicts = _verdicts(study)
    for row, function in enumerate(study.functions):
        if why := study.refused.get(function.name):
            keys = _keys(function, _ALL)
            rows.append({**keys, "verdict": not_computable(why), "why": why})
        for move in study.moves:
            if move.target != row:
                continue
            change, verdict = study.mean(move.change[:, row]), verdicts.get(move.words)
            why, figures_of_move = study.without_null or _UNPERMUTED, Row()
            if move.keys["way"] == _SELECTIVE:
                why = _UNCALIBRATED
            else:
                slope = study.slopes[row]
                figures_of_move = {
                    "calibrated": _calibrated(slope, change.mean),
                    "p": verdict.table_p if verdict else None,
                    "slope": slope.value,
                    "r": slope.r,
                    **study.null.get(function.name, {}),
                }
            word = not_computable(why)
            if verdict:
                raised = "raised" if sign_of(function) > 0 else "lowered"
                word, why = verdict.named(raised, "the opposite"), verdict.why
            size = float(np.sqrt(np.mean((_AT * move.delta) ** 2)))
            rows.append(
                {
                    **move.keys,
                    "verdict": word,
                    "why": why,
                    "change": change,
                    "size": size,
                    **figures_of_move,
                }
            )
    return rows


def _calibrated(slope: Slope, change: float) -> Interval:
    low, high = sorted((change * slope.low, change * slope.high))
    return Interval(change * slope.value, low, high)


def _verdicts(study: _Study) -> dict[str, Verdict]:
    """Return verdicts of moves: interval of the calibrated change, and p of permuted behaviour."""
    verdicts = {}
    for move in study.moves:
        null = study.null.get(move.keys["function"])
        if null is None or move.keys["way"] == _SELECTIVE:
            continue
        sign, slope = sign_of(study.functions[move.target]), study.slopes[move.target]
        change = _calibrated(slope, sign * study.mean(move.change[:, move.target]).mean)
        p = (1 + null["permuted_as_large"]) / (1 + null["permutations"])
        verdicts[move.words] = Verdict(change, p, slope.people)
    return dict(zip(verdicts, corrected(list(verdicts.values())), strict=True))


def _change_rows(study: _Study) -> Iterator[Row]:
    before = family_means(study.before.T, study.people.kin)
    for move in study.moves:
        for size, values in zip(STEP_SIZES, move.after, strict=True):
            after = family_means(values.T, study.people.kin)
            for row, function in enumerate(study.functions):
                change = after[row] - before[row]
                yield {
                    **move.keys,
                    "step_size": size,
                    "function": function.name,
                    "intended": row == move.target,
                    "before": float(np.nanmean(before[row])),
                    "after": float(np.nanmean(after[row])),
                    "change": bootstrap_interval(change),
                    "people": int(np.isfinite(change).sum()),
                }


def _people_rows(study: _Study) -> Iterator[Row]:
    for move in study.moves:
        for person, label in enumerate(study.people.labels):
            yield {
                "participant_id": f"sub-{label}",
                **move.keys,
                "change": move.change[person, move.target],
                "level_before": study.before[person, move.target],
                "observed_level": study.observed[person, move.target],
            }


def _edge_rows(study: _Study, regions: Sequence[str]) -> Iterator[Row]:
    first, second = np.triu_indices(len(regions), 1)
    for function, edges in zip(study.functions, study.gradients, strict=True):
        if not edges.any():
            continue
        for rank, edge in enumerate(
            np.argsort(-np.abs(edges), kind="stable")[:_STRONGEST], 1
        ):
            yield {
                "function": function.name,
                "rank": rank,
                "edge": int(edge) + 1,
                "region_1": regions[first[edge]] if len(regions) else None,
                "region_2": regions[second[edge]] if len(regions) else None,
                "per_z": float(edges[edge]),
            }


def _write_directions(
    analysis: TwinAnalysis, study: _Study, regions: Sequence[str]
) -> None:
    """Write gradients and steps of one SD, by edge."""
    names = [f"{move.keys['function']} {move.keys['way']}" for move in study.moves]
    write_npz(
        analysis.results.add(DIRECTIONS),
        {
            "functions": np.array(
                [function.name for function in study.functions], np.str_
            ),
            "gradients": study.gradients,
            "moves": np.array(names, np.str_),
            "steps": np.array([move.delta for move in study.moves]),
            "places": np.array(regions, np.str_),
        },
    )


def _region_names(bundle: TwinBundle, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the model's regions: the given ones if they fit, else its own."""
    number = bundle.part.regions
    if len(names) == number:
        return tuple(names)
    return bundle.regions or tuple(f"region {place}" for place in range(1, number + 1))


def region_means(edges: Float64, regions: int) -> Float64:
    """Return the mean over the edges of each region, (regions,); edges are pairs row by row.

    Examples
    --------
    >>> region_means(np.array([1.0, 0.0, -1.0]), 3)
    array([ 0.5,  0. , -0.5])
    """
    rows, columns = np.triu_indices(regions, 1)
    total = np.bincount(rows, edges, regions) + np.bincount(columns, edges, regions)
    return np.asarray(total / max(regions - 1, 1))


def _page(
    analysis: TwinAnalysis,
    bundle: TwinBundle,
    study: _Study,
    regions: Sequence[str],
    judged: Iterable[Mapping[str, Any]],
) -> Page:
    card, adjustment = bundle.card, bundle.adjustment
    flags = [Flag("warning", NO_EVIDENCE)]
    flags += [
        Flag("note", f"No connectome was moved for {name.replace('_', ' ')}: {why}")
        for name, why in study.refused.items()
    ]
    if not card.for_science:
        flags.append(Flag("problem", card.notice))
    facts = {
        "step": _AT,
        "without_null": study.without_null,
        "covariates": "" if adjustment is None else named(adjustment.asked),
        "smooth": find_architecture(bundle.part.architecture).generates_all,
        "people": len(study.people.labels),
    }
    return Page(
        title=analysis.results.title,
        lead=f"{card.title} ({bundle.part.architecture}), {analysis.data_set}: twins "
        f"of {counted(study.people.labels, 'participant')} outside the training set."
        f"{seen_on_page(analysis.seen)}",
        flags=tuple(flags),
        sections=(
            Section(
                "What the moves change",
                template="twin/moves.html",
                facts=facts,
                tables=(_verdict_table(study, judged), *_effect_tables(study)),
            ),
            Section(
                "Differences between people",
                template="twin/people.html",
                tables=(_difference_table(study),),
            ),
            Section(
                "Gradients",
                template="twin/gradients.html",
                facts=facts,
                figures=(
                    *_matrices(study, regions),
                    _brains(analysis, bundle, study, regions),
                ),
            ),
        ),
    )


def _scale(function: Target) -> float:
    return {RT: _MS, EFFECT: _MS, ACCURACY: _PERCENT}.get(function.what, 1.0)


def _shown(
    interval: Interval | None, scale: float
) -> tuple[float, float, float] | None:
    if interval is None:
        return None
    return scale * interval.mean, scale * interval.low, scale * interval.high


def _verdict_table(study: _Study, judged: Iterable[Mapping[str, Any]]) -> Table:
    scales = {function.name: _scale(function) for function in study.functions}
    figures = "p", "permuted_as_large", "slope", "r"
    rows: list[tuple[Any, ...]] = []
    for row in judged:
        scale = scales[row["function"]]
        changes = [_shown(row.get(name), scale) for name in ("change", "calibrated")]
        name = f"{row['direction']}, {row['way']}"
        rows.append(
            (name, row["verdict"], *changes, *(row.get(column) for column in figures))
        )
    return Table(
        f"Change of the function at {_AT:g} SD ({_UNITS})",
        (
            "direction",
            "verdict",
            "by twins",
            "calibrated",
            "p",
            "permuted as large",
            "slope",
            "r",
        ),
        rows,
    )


def _effect_tables(study: _Study) -> Iterator[Table]:
    rows = []
    for move in study.moves:
        cells = [
            _shown(study.mean(change), _scale(function))
            for change, function in zip(move.change.T, study.functions, strict=True)
        ]
        rows.append((move.words, *cells))
    if rows:
        headings = ("direction", *map(words_of, study.functions))
        yield Table(f"Change of all functions at {_AT:g} SD ({_UNITS})", headings, rows)


def _difference_table(study: _Study) -> Table:
    rows: list[tuple[Any, ...]] = []
    for move in study.moves:
        change, before = move.change[:, move.target], study.before[:, move.target]
        scale = _scale(study.functions[move.target])
        deviation = scale * float(np.nanstd(change)) if varies(change) else 0.0
        observed = study.observed[:, move.target]
        r = (correlation_of(level, change) for level in (before, observed))
        rows.append((move.words, deviation, *r))
    return Table(
        f"Changes of people's twins at {_AT:g} SD ({_UNITS})",
        (
            "direction",
            "SD over people",
            "r with the twin's level",
            "r with the observed level",
        ),
        rows,
    )


def _matrices(
    study: _Study, regions: Sequence[str]
) -> tuple[figures.Figure | None, ...]:
    """Return the gradients as matrices; functions of one unit share a scale."""
    maps: dict[float, dict[str, Float64]] = {}
    rows, columns = np.triu_indices(len(regions), 1)
    for function, edges in zip(study.functions, study.gradients, strict=True):
        if len(regions) and edges.any():
            scale = _scale(function)
            square = np.full((len(regions), len(regions)), np.nan)
            square[rows, columns] = square[columns, rows] = scale * edges
            maps.setdefault(scale, {})[words_of(function)] = square
    units = {_MS: "ms", _PERCENT: "%", 1.0: "SD of BOLD"}
    return tuple(
        figures.matrices(
            f"Gradient of each edge, {units[scale]} per unit of Fisher z", items
        )
        for scale, items in maps.items()
    )


def _draw_regions(means: Float64, atlas: Atlas) -> bytes:
    """Draw values of an atlas's parcels, on the surface or in a glass brain; return a PNG file."""
    inside = atlas.columns < len(means)
    if atlas.surface is None:
        grid = standard_grid()
        places = VoxelPlaces.within(grid, inside.reshape(grid.shape))
        return draw_glass_brain(means[atlas.columns[inside]], places)
    values = np.append(means, np.nan)[atlas.columns]
    sides = dict(zip(SIDES, np.split(values, len(SIDES)), strict=True))
    return encode(draw_surfaces(sides, float(np.nanmax(np.abs(means)))))


def _brains(
    analysis: TwinAnalysis, bundle: TwinBundle, study: _Study, regions: Sequence[str]
) -> figures.Figure | None:
    """Draw the mean gradient of each region, where the model's atlas can be read."""
    part = bundle.part
    if not part.atlas or not regions:
        return None
    try:
        (atlas,) = read_atlases(analysis.settings, part.atlas)
    except SettingsError:
        return None
    if (
        part.atlas_digest not in ("", atlas.digest)
        or len(atlas.parcels) != part.regions
    ):
        return None
    pictures = {}
    for function, edges in zip(study.functions, study.gradients, strict=True):
        means = _scale(function) * region_means(edges, len(regions))
        if edges.any():
            pictures[words_of(function)] = _draw_regions(means, atlas)
    caption = f"Mean gradient of each region, parcels of {atlas.key}"
    return figures.pictures(caption, pictures)
