"""The page of interventions in twins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.grid import standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.participants.parcels.atlas import read_only_atlas
from bids_dtg.report.flags import Flag
from bids_dtg.report.glass_brain import draw_glass_brain
from bids_dtg.report.numbers import Cell
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    Curves,
    Matrices,
    PageSection,
    Pictures,
    Table,
)
from bids_dtg.report.pages.index import INDEX
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.twin.analyses.analysis import TwinAnalysis
from bids_dtg.twin.analyses.intervene.study import (
    CONTROL_DOSES,
    CONTROLS,
    TABLE_DOSE,
    Plan,
    Study,
    rms,
)
from bids_dtg.twin.analyses.intervene.tables import (
    control_changes,
    dose_rows,
    figures_of_move,
    in_ms,
    map_rows,
    region_names,
    region_rows,
    stability_rows,
    words,
)
from bids_dtg.twin.interventions.attribution import region_means
from bids_dtg.twin.interventions.gradients import COPIES, NOISE
from bids_dtg.twin.interventions.moves import DOSES, Move
from bids_dtg.twin.panels.words import NO_EVIDENCE

Array = NDArray[np.float64]
_MS, _PERCENT = 1000.0, 100.0
_STRONGEST = 10  # regions of each figure in the table
_STEP = DOSES[0]
_P = ("p", "p (family-wise)")
_OF_NULL = (("", ""), ("null_", ""), ("null_", "_95"))  # columns of a statistic


def intervention_page(
    analysis: TwinAnalysis, plan: Plan, found: Study, who: str
) -> AnalysisPageFacts:
    """Return what the page shows.

    Parameters
    ----------
    analysis, plan
        The call.
    found
        What interventions come to.
    who
        Whose twins perform, in words.
    """
    bundle = plan.bundle
    regions = region_names(bundle, analysis.people.regions)
    return AnalysisPageFacts(
        title=analysis.results.path.name,
        index=f"../../{INDEX}",
        lead=f"{bundle.card.name} {bundle.card.version} ({bundle.part.architecture}), "
        f"{analysis.data_set}: {who}.",
        flags=_flags(plan, found),
        sections=(
            _moves(found),
            _attribution(found, regions, _brains(analysis, plan, found, regions)),
            _null(plan, found),
            _stability(found),
        ),
    )


def _flags(plan: Plan, found: Study) -> tuple[Flag, ...]:
    flags, card = [Flag("warning", NO_EVIDENCE)], plan.bundle.card
    flags += [Flag("note", f"{note[:1].upper()}{note[1:]}") for note in found.notes]
    if not card.for_science:
        flags.append(Flag("problem", card.notice or "a model of simulated people: not for science"))
    return tuple(flags)


def _moves(found: Study) -> PageSection:
    text = (
        "Everybody's connectome is moved by what differs between people whose twins have less and "
        "more of a figure; a dose of 1 is the difference of people one standard deviation of the "
        "figure apart (SD). What else changes is off target. Believed: the change times the slope "
        "of observed on predicted figures, over people whom the model was not fitted to. Random "
        "directions are mixtures of how people differ from "
        "their mean: a direction that changes its figure no more than they do is nothing beyond "
        "how people differ in any way.",
        "There is no verdict: people of one fit share what the fit got wrong, so intervals over "
        "them say how alike the twins are and not how sure the change is. Shown instead are how "
        "many random directions change the figure as much, what permuted behaviour gives, and how "
        "attributions agree between fits.",
        "All of this is what the model predicts: nobody's connectome was moved.",
    )
    return PageSection(
        title="Moves of the connectome",
        text=text if found.moves else found.notes,
        tables=tuple(_move_tables(found)) if found.moves else (),
        curves=tuple(_curves(found, name) for name in found.moves),
    )


def _curves(found: Study, lowers: str) -> Curves:
    """Return what doses along a direction change, of all figures in seconds."""
    nothing = np.zeros(1)
    changes = {
        target: [bootstrap_interval(move.change(target)) for move in found.moves[lowers]]
        for target in found.targets
    }
    series = {
        target: np.concatenate([nothing, [_MS * change.mean for change in own]])
        for target, own in changes.items()
    }
    own = changes[lowers]
    ends = [np.array([getattr(change, end) for change in own]) for end in ("low", "high")]
    low, high = (np.concatenate([nothing, _MS * end]) for end in ends)
    names = {lowers: f"{words(lowers)} (meant)"}
    return Curves(
        caption=f"Direction that lowers {words(lowers)}. Bands: 95 % over people of what is meant, "
        f"and the range of {words(lowers)} along {CONTROLS} random directions.",
        x_label="dose (SD)",
        y_label="predicted change (ms)",
        series={names.get(name, words(name)): values for name, values in series.items()},
        start=0.0,
        step=_STEP,
        bands={names[lowers]: (low, high), "random directions": _control_band(found, lowers)},
    )


def _control_band(found: Study, target: str) -> tuple[Array, Array]:
    """Return the range of random directions' changes by dose, in ms; lines between doses."""
    doses = _STEP * np.arange(round(CONTROL_DOSES[-1] / _STEP) + 1)
    changes = [_MS * control_changes(found, target, dose) for dose in CONTROL_DOSES]
    at = (0.0, *CONTROL_DOSES)
    return (
        np.interp(doses, at, [0.0, *(own.min() for own in changes)]),
        np.interp(doses, at, [0.0, *(own.max() for own in changes)]),
    )


def _move_tables(found: Study) -> Iterator[Table]:
    moves = {name: _at(own, TABLE_DOSE) for name, own in found.moves.items()}
    for unit, scale, caption in (
        ("s", _MS, f"Change of response times and effects at {TABLE_DOSE:g} SD (ms)"),
        ("share", _PERCENT, f"Change of errors and misses at {TABLE_DOSE:g} SD (% of trials)"),
    ):
        figures = [
            figure for figure, of, _, _ in figures_of_move(found.controls[0][0]) if of == unit
        ]
        yield Table(
            caption,
            ("direction", *map(words, figures)),
            [
                *(
                    (f"lower {words(name)}", *_changes(move, figures, scale))
                    for name, move in moves.items()
                ),
                *_control_cells(found, figures, scale),
            ],
            notes=("Mean over people, 95 % interval.",),
        )
    yield _sizes(found)


def _at(moves: Sequence[Move], dose: float) -> Move:
    return next(move for move in moves if move.dose == dose)


def _changes(move: Move, figures: Sequence[str], scale: float) -> Iterator[Cell]:
    values = {figure: after - before for figure, _, before, after in figures_of_move(move)}
    for figure in figures:
        change = bootstrap_interval(scale * values[figure])
        yield (change.mean, change.low, change.high)


def _control_cells(
    found: Study, figures: Sequence[str], scale: float
) -> Iterator[tuple[Cell, ...]]:
    changes = [scale * control_changes(found, figure) for figure in figures]
    yield (f"{CONTROLS} random directions: lowest", *(float(own.min()) for own in changes))
    yield (f"{CONTROLS} random directions: highest", *(float(own.max()) for own in changes))


def _sizes(found: Study) -> Table:
    rows = [row for row in dose_rows(found) if row["dose"] == TABLE_DOSE and row["intended"]]
    controls = [rms(direction.delta(TABLE_DOSE)) for direction in found.control_directions]
    return Table(
        f"What is meant, and how large the move is, at {TABLE_DOSE:g} SD",
        (
            "direction",
            "before (ms)",
            "after (ms)",
            "change (ms)",
            "believed (ms)",
            f"random directions as large, of {CONTROLS}",
            "size of the move (Fisher z)",
            "share of the distance between two people",
        ),
        [
            *(
                (
                    f"lower {words(row['figure'])}",
                    _MS * row["before"],
                    _MS * row["after"],
                    in_ms(row["change"]),
                    in_ms(row["calibrated_change"]),
                    row["controls_as_large"],
                    row["move_rms"],
                    row["move_rms"] / found.between_people,
                )
                for row in rows
            ),
            (
                "random directions, mean",
                *("", "", "", "", ""),
                float(np.mean(controls)),
                float(np.mean(controls)) / found.between_people,
            ),
        ],
        notes=(
            f"Sizes are rms over edges; two people's connectomes are {found.between_people:.3f} "
            "apart on average.",
        ),
    )


def _attribution(found: Study, regions: Sequence[str], brains: Sequence[Pictures]) -> PageSection:
    maps = {
        words(target): _square(found.gradients.of(target), len(regions))
        for target in found.targets
        if len(regions)
    }
    return PageSection(
        title="What figures depend on",
        text=(
            "By how many seconds a figure changes with each edge: gradients of the figure itself, "
            f"averaged over people and {COPIES} noisy copies of each connectome (SmoothGrad, noise "
            f"of {NOISE:g} standard deviations). The value of a region is the mean over its edges.",
        ),
        tables=_region_tables(found, regions),
        matrices=(Matrices("Seconds a unit of Fisher z of each edge", maps),) if maps else (),
        pictures=brains,
    )


def _square(edges: Array, regions: int) -> Array:
    square = np.full((regions, regions), np.nan)
    rows, columns = np.triu_indices(regions, 1)
    square[rows, columns] = square[columns, rows] = edges
    return square


def _region_tables(found: Study, regions: Sequence[str]) -> tuple[Table, ...]:
    every = list(region_rows(found, regions))
    tables = []
    for target in found.targets if every else ():
        own = sorted(
            (row for row in every if row["target"] == target),
            key=lambda row: -abs(row["seconds_per_z"]),
        )[:_STRONGEST]
        tables.append(
            Table(
                f"{words(target)}: the regions that it depends on most",
                ("region", "ms a unit of Fisher z", *(_P if found.null else ())),
                [
                    (
                        row["region"],
                        _MS * row["seconds_per_z"],
                        *((row["p"], row["p_fwe"]) if found.null else ()),
                    )
                    for row in own
                ],
                notes=() if found.null else ("There is no null: p is not known.",),
            )
        )
    return tuple(tables)


def _brains(
    analysis: TwinAnalysis, plan: Plan, found: Study, regions: Sequence[str]
) -> tuple[Pictures, ...]:
    """Draw the attribution on the brain; nothing where the model's atlas is not to be had."""
    atlas = _atlas(analysis, plan)
    if atlas is None:
        return ()
    grid = standard_grid()
    places = VoxelPlaces.within(grid, np.ones(grid.shape, bool))
    drawn = {
        words(target): draw_glass_brain(
            np.append(_MS * region_means(found.gradients.of(target), len(regions)), 0.0)[
                atlas.columns
            ],
            places,
            title="",
            units="ms a unit of Fisher z",
        )
        for target in found.targets
    }
    pictures = {name: picture for name, picture in drawn.items() if picture is not None}
    caption = f"Mean attribution over each region's edges, parcels of {atlas.key}"
    return (Pictures(caption, pictures),) if pictures else ()


def _atlas(analysis: TwinAnalysis, plan: Plan) -> Atlas | None:
    part = plan.bundle.part
    if not part.atlas:
        return None
    try:
        atlas = read_only_atlas(analysis.settings, "twin", part.atlas)
    except SettingsError:
        return None
    same = not part.atlas_digest or atlas.digest == part.atlas_digest
    return atlas if same and len(atlas.parcels) == part.regions else None


def _null(plan: Plan, found: Study) -> PageSection:
    if found.null is None:
        why = plan.without_null.removeprefix("no null: ")
        return PageSection(title="Beside permuted behaviour", text=(f"There is no null: {why}.",))
    return PageSection(
        title="Beside permuted behaviour",
        text=(
            f"{found.null.permutations} times, the codes of the responses of those whom the model "
            "was fitted to are given to others of them, and what connectomes tell of codes is "
            "fitted anew. The attribution that is compared is made in the same way without "
            "permuting: its r with the twin's own says how near it is. Spread: by how much the "
            "figure differs between the people whose twins perform, if it depends on edges so. "
            "Length: the root of its sum of squares; what is fitted to noise is no shorter.",
        ),
        tables=(
            Table(
                "The whole attribution: its spread over people (ms), and its length (ms a unit "
                "of Fisher z)",
                (
                    "figure",
                    *("spread", "null, mean", "null, 95 %", "p of the spread"),
                    *("length", "null, mean length", "null, 95 % length", "p of the length"),
                    "r with the twin's own",
                ),
                [
                    (
                        words(row["target"]),
                        *(_MS * row[f"{part}spread{end}"] for part, end in _OF_NULL),
                        row["p_spread"],
                        _MS * row["tested_length"],
                        *(_MS * row[f"{part}length{end}"] for part, end in _OF_NULL[1:]),
                        row["p_length"],
                        row["tested_r"],
                    )
                    for row in map_rows(found)
                ],
            ),
        ),
    )


def _stability(found: Study) -> PageSection:
    cells: dict[tuple[str, str], Cell] = {}
    for row in stability_rows(found):
        several = row["comparisons"] > 1
        key = (row["comparison"], row["target"])
        cells[key] = (
            (row["r_mean"], row["r_lowest"], row["r_highest"]) if several else row["r_mean"]
        )
    return PageSection(
        title="Stability",
        text=(
            "r over edges of two attributions: a map that changes with the people, or with the "
            "seed of the training, says little of single edges.",
        ),
        tables=(
            Table(
                "r of attributions",
                ("what differs", *map(words, found.targets)),
                [
                    (kind.comparison, *(cells[kind.comparison, name] for name in found.targets))
                    for kind in found.stability
                ],
                notes=("Of several comparisons: mean, lowest and highest.",),
            ),
        ),
    )
