"""The page of interventions in twins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.grid import standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import named
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
from bids_dtg.stats.verdict import FEWEST, NO_EVIDENCE
from bids_dtg.twin.analyses.analysis import TwinAnalysis
from bids_dtg.twin.analyses.intervene.study import (
    TABLE_STEP_SIZE,
    TWIN,
    Plan,
    Study,
    mean_known,
)
from bids_dtg.twin.analyses.intervene.tables import (
    figures_of_perturbation,
    in_ms,
    judged_rows,
    map_rows,
    permuted_changes,
    perturbation_rows,
    region_names,
    region_rows,
    simple_rows,
    words,
)
from bids_dtg.twin.interventions.attribution import region_means
from bids_dtg.twin.interventions.gradients import COPIES, NOISE
from bids_dtg.twin.interventions.perturbations import STEP_SIZES, Perturbation
from bids_dtg.twin.judging.cohort import RT

Array = NDArray[np.float64]
_MS, _PERCENT = 1000.0, 100.0
_FAR_TIME = 0.2  # of people's mean response time, by which twins' differs
_FAR_SHARE = 0.15  # by which shares of trials differ: twins make no errors, people few
_LARGEST_P = 0.05
# What a change along a direction does less than predicted where a cause of both was not measured:
# in simulated people (docs/evidence.md).
_CONFOUNDED = "2.4 times less"
_STRONGEST = 10  # regions of each figure in the table
_STEP = STEP_SIZES[0]


def intervention_page(
    analysis: TwinAnalysis, plan: Plan, found: Study, who: str
) -> AnalysisPageFacts:
    """Return the content of the page; `who` describes the people whose twins perform."""
    bundle = plan.bundle
    regions = region_names(bundle, analysis.people.regions)
    return AnalysisPageFacts(
        title=analysis.results.path.name,
        index=f"../../{INDEX}",
        lead=f"{bundle.card.name} {bundle.card.version} ({bundle.part.architecture}), "
        f"{analysis.data_set}: {who}.",
        flags=_flags(plan, found),
        sections=(
            _verdicts(plan, found),
            _perturbations(found),
            _attribution(found, regions, _brains(analysis, plan, found, regions)),
        ),
    )


def _flags(plan: Plan, found: Study) -> tuple[Flag, ...]:
    flags, card = [Flag("warning", NO_EVIDENCE)], plan.bundle.card
    flags += [Flag("warning", _sentence(text)) for text in _far(found)]
    flags += [Flag("note", _sentence(note)) for note in found.notes]
    if not card.for_science:
        flags.append(Flag("problem", card.notice or "a model of simulated people: not for science"))
    return tuple(flags)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _far(found: Study) -> Iterator[str]:
    """Yield sentences on figures of twins that are far from those of the people themselves."""
    for number, target in enumerate(found.targets):
        if not target.endswith(f"_{RT}"):
            continue
        twin, people = mean_known(found.outcomes.of(target)), mean_known(found.observed[:, number])
        if not abs(twin - people) <= _FAR_TIME * people:
            yield (
                f"{words(target)} of twins is far from people's: {_MS * twin:.0f} ms on average, "
                f"people's {_MS * people:.0f} ms. Changes of such twins say nothing of people"
            )
    for number, task in enumerate(found.outcomes.tasks):
        for what, twins, own in (
            ("correct", found.outcomes.correct, found.observed_correct),
            ("missed", found.outcomes.unanswered, found.observed_missed),
        ):
            twin, people = mean_known(twins[:, number]), mean_known(own[:, number])
            if not abs(twin - people) <= _FAR_SHARE:
                yield (
                    f"{task}: the share of {what} trials of twins is far from people's: "
                    f"{twin:.0%} on average, people's {people:.0%}"
                )


def _verdicts(plan: Plan, found: Study) -> PageSection:
    rows = list(judged_rows(found))
    moved = {
        row["figure"]: row
        for row in perturbation_rows(found)
        if row["intended"] and row["step_size"] == TABLE_STEP_SIZE
    }
    reasons = [f"{words(row['figure'])}: {row['why']}." for row in rows if row["why"]]
    return PageSection(
        title="What the interventions show",
        text=(
            f"Everybody's connectome is moved by {TABLE_STEP_SIZE:g} SD along the direction that "
            "lowers a figure. Any twin has such a direction, also one that was fitted to noise. "
            "The verdict is therefore over refits to halves of the training participants, as the "
            "interval, and over twins of permuted behaviour (latent factors of the training "
            "participants are permuted over them), each along its own direction, as p: "
            f"lower and higher need {FEWEST} training participants, an interval without 0, and p "
            f"up to {_LARGEST_P:g}; people of one fit share its errors and are no test. What is "
            "compared with permuted behaviour is the change times r of predicted and observed "
            "figures, where there are 10 people or more outside the training set.",
            _assumption(plan),
        ),
        tables=(
            Table(
                "Whether a direction lowers its figure",
                (
                    "direction",
                    *("verdict", "falls by (ms), 95 % over refits", "p", "permuted as large"),
                    *("change by twins (ms)", "calibrated (ms)", "r between refits"),
                    *("twins (ms)", "people (ms)"),
                ),
                [
                    (
                        f"lower {words(row['figure'])}",
                        row["verdict"],
                        in_ms(row.get("lowered")),
                        row.get("lowered_p"),
                        _of(row.get("permuted_as_large"), row.get("permutations")),
                        *(
                            in_ms(moved.get(row["figure"], {}).get(name))
                            for name in ("change", "calibrated_change")
                        ),
                        row["r_refits"],
                        _MS * row["predicted"],
                        _MS * row["observed"],
                    )
                    for row in rows
                ],
                notes=("The last two are means of the figure, before the change.", *reasons),
            ),
        ),
    )


def _assumption(plan: Plan) -> str:
    """Return what a change of connectomes assumes."""
    adjustment = plan.bundle.adjustment
    out = "" if adjustment is None else f" but for {named(adjustment.asked)}, which is taken out"
    return (
        "Directions are differences between people. They assume that nothing changes both "
        f"connectome and behaviour{out}: with a cause that nobody measured, as arousal, a change "
        f"of the connectome does less than shown, in simulated people {_CONFOUNDED}, and may do "
        "nothing."
    )


def _of(number: int | None, every: int | None) -> Cell:
    return None if number is None else f"{number} of {every}"


def _perturbations(found: Study) -> PageSection:
    text = (
        "Everybody's connectome is perturbed along the difference between people whose twins have "
        "less and more of a figure. Step size 1 is the difference between people one standard "
        "deviation (SD) of the figure apart. Changes of other figures are off target. Calibrated: "
        "the change times the slope of observed on predicted figures, over people outside the "
        "training set. Intervals over people measure how similar the twins are, and not how "
        "certain a change is.",
        "All of these are predictions of the model: nobody's connectome was perturbed.",
    )
    return PageSection(
        title="Perturbations of the connectome",
        text=text if found.perturbations else found.notes,
        tables=(*_perturbation_tables(found), *_simple_tables(found))
        if found.perturbations
        else (),
        curves=tuple(_curves(found, name) for name in found.perturbations),
    )


def _simple_tables(found: Study) -> Iterator[Table]:
    rows = list(simple_rows(found))
    if not rows:
        return
    yield Table(
        f"The same without a network, at {TABLE_STEP_SIZE:g} SD (ms)",
        ("direction", "change by twins", "change by ridge", "by ridge, calibrated"),
        [
            (
                f"lower {words(row['figure'])}: direction of {row['direction']}",
                _MS * row["twin_change"],
                _MS * row["ridge_change"],
                in_ms(row["ridge_calibrated_change"]),
            )
            for row in rows
        ],
        highlight=[
            f"lower {words(row['figure'])}: direction of {row['direction']}"
            for row in rows
            if row["direction"] != TWIN
        ],
        notes=(
            "Ridge regression is of edges and observed figures of the training participants. Where "
            "its calibrated change is that of the twins, these add nothing to it.",
        ),
    )


def _curves(found: Study, lowers: str) -> Curves:
    """Return the changes of all figures in seconds by step size along a direction."""
    nothing = np.zeros(1)
    changes = {
        target: [
            bootstrap_interval(perturbation.change(target))
            for perturbation in found.perturbations[lowers]
        ]
        for target in found.targets
    }
    series = {
        target: np.concatenate([nothing, [_MS * change.mean for change in own]])
        for target, own in changes.items()
    }
    own = changes[lowers]
    ends = [np.array([getattr(change, end) for change in own]) for end in ("low", "high")]
    low, high = (np.concatenate([nothing, _MS * end]) for end in ends)
    names = {lowers: f"{words(lowers)} (target)"}
    return Curves(
        caption=f"Direction that lowers {words(lowers)}. Bands: 95 % over people of the target"
        + (
            f", and {words(lowers)} by 95 % of twins of permuted behaviour along their own "
            "directions."
            if found.moves
            else "."
        ),
        x_label="step size (SD)",
        y_label="predicted change (ms)",
        series={names.get(name, words(name)): values for name, values in series.items()},
        start=0.0,
        step=_STEP,
        bands={names[lowers]: (low, high), **_permuted_band(found, lowers, len(low))},
    )


def _permuted_band(found: Study, target: str, points: int) -> dict[str, tuple[Array, Array]]:
    """Return 95 % of the changes by twins of permuted behaviour by step size, in ms, on a line."""
    changes = permuted_changes(found, target)
    if changes is None:
        return {}
    at = _STEP * np.arange(points) / TABLE_STEP_SIZE
    low, high = _MS * np.nanpercentile(changes, [2.5, 97.5])
    return {"permuted behaviour": (at * low, at * high)}


def _perturbation_tables(found: Study) -> Iterator[Table]:
    perturbations = {name: _at(own, TABLE_STEP_SIZE) for name, own in found.perturbations.items()}
    for unit, scale, caption in (
        ("s", _MS, f"Change of response times and effects at {TABLE_STEP_SIZE:g} SD (ms)"),
        ("share", _PERCENT, f"Change of errors and misses at {TABLE_STEP_SIZE:g} SD (% of trials)"),
    ):
        figures = [
            figure
            for figure, of, _, _ in figures_of_perturbation(next(iter(perturbations.values())))
            if of == unit
        ]
        yield Table(
            caption,
            ("direction", *map(words, figures)),
            [
                (f"lower {words(name)}", *_changes(perturbation, figures, scale))
                for name, perturbation in perturbations.items()
            ],
            notes=("Mean over people, 95 % interval.",),
        )
    yield _sizes(found)


def _at(perturbations: Sequence[Perturbation], step_size: float) -> Perturbation:
    return next(
        perturbation for perturbation in perturbations if perturbation.step_size == step_size
    )


def _changes(perturbation: Perturbation, figures: Sequence[str], scale: float) -> Iterator[Cell]:
    values = {
        figure: after - before for figure, _, before, after in figures_of_perturbation(perturbation)
    }
    for figure in figures:
        change = bootstrap_interval(scale * values[figure])
        yield (change.mean, change.low, change.high)


def _sizes(found: Study) -> Table:
    rows = [
        row
        for row in perturbation_rows(found)
        if row["step_size"] == TABLE_STEP_SIZE and row["intended"]
    ]
    return Table(
        f"Change of the target, and size of the perturbation, at {TABLE_STEP_SIZE:g} SD",
        (
            "direction",
            "before (ms)",
            "after (ms)",
            "change (ms)",
            "calibrated (ms)",
            "size of the perturbation (Fisher z)",
            "share of the distance between two people",
        ),
        [
            (
                f"lower {words(row['figure'])}",
                _MS * row["before"],
                _MS * row["after"],
                in_ms(row["change"]),
                in_ms(row["calibrated_change"]),
                row["perturbation_rms"],
                row["perturbation_rms"] / found.between_people,
            )
            for row in rows
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
        title="Attribution of figures to edges",
        text=(
            "Change of a figure in seconds with each edge: gradients of the figure itself, "
            f"averaged over people and {COPIES} noisy copies of each connectome (SmoothGrad, noise "
            f"of {NOISE:g} standard deviations). The value of a region is the mean over its edges.",
        ),
        tables=(*_whole_tables(found), *_region_tables(found, regions)),
        matrices=(Matrices("Seconds a unit of Fisher z of each edge", maps),) if maps else (),
        pictures=brains,
    )


def _whole_tables(found: Study) -> Iterator[Table]:
    """Yield a table of whole attributions beside maps of the training participants, if any."""
    if found.linear:
        yield Table(
            "r over edges of the attribution with what needs no network",
            ("figure", "ridge weights", "covariance"),
            [
                (words(row["target"]), row["r_ridge"], row["r_covariance"])
                for row in map_rows(found)
            ],
            notes=("Both are of edges and observed figures of the training participants.",),
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
        ridge = target in found.linear
        tables.append(
            Table(
                f"{words(target)}: the regions with the largest attribution",
                (
                    "region",
                    "ms a unit of Fisher z",
                    *(("ridge, ms", "covariance") if ridge else ()),
                ),
                [
                    (
                        row["region"],
                        _MS * row["seconds_per_z"],
                        *((_MS * row["ridge_seconds_per_z"], row["covariance"]) if ridge else ()),
                    )
                    for row in own
                ],
            )
        )
    return tuple(tables)


def _brains(
    analysis: TwinAnalysis, plan: Plan, found: Study, regions: Sequence[str]
) -> tuple[Pictures, ...]:
    """Draw the attribution on the brain; no picture where the model's atlas is not available."""
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
