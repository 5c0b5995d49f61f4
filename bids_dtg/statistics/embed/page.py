"""The page of an embedding: the answer in words, tables of figures, and the plot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.people import GroupPeople
from bids_dtg.inputs.participants import Column
from bids_dtg.notices import counted, named
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Scatter, Table
from bids_dtg.report.pages.page import link
from bids_dtg.statistics.embed.figures import (
    REST_QUALITY,
    likeness_rows,
    motion_rows,
    unusual_words,
    values_of,
)
from bids_dtg.statistics.embed.layouts import (
    ALL,
    NO_UMAP,
    Embedded,
    Layout,
    MapPoints,
    Values,
)
from bids_dtg.statistics.embed.plot import (
    EmbeddingPlot,
    PageCloud,
    PageColumn,
    PageContrast,
    PagePerson,
)
from bids_dtg.stats.cohort.embedding import (
    NEIGHBOURS,
    Components,
    umap_is_missing,
)
from bids_dtg.stats.cohort.typicality import (
    MOST_DEVIATIONS,
    Typicality,
)
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import FEWEST, too_few

_MINUS = "\N{MINUS SIGN}"
_AXES_SHOWN = 5  # components that the plot has
_MOST_SHOWN = 25  # atypical people on the page
_TYPICAL_SHOWN = 5


def embedding_page(
    people: GroupPeople, found: Sequence[Embedded], known: Mapping[str, Column]
) -> AnalysisPageFacts:
    """Return the sections of the page."""
    return AnalysisPageFacts(
        "Embedding",
        " ".join(_answer(found)),
        [*people.flags, *people.flag_on_sites(), *_flags(people, found)],
        [
            _maps_section(found),
            _people_section(found, known),
            _components_section(found),
            _how_section(people),
        ],
        index="../../index.html",
    )


def _answer(found: Sequence[Embedded]) -> Iterator[str]:
    """Yield the answer in sentences: clusters of contrasts first, then people."""
    points = next((one_kind.maps for one_kind in found if one_kind.maps is not None), None)
    if points is not None:
        figures, shares = points.figures[ALL], points.shares
        if len(points.labels) >= FEWEST:
            yield (
                f"The {len(points.contrasts)} contrasts form "
                f"{_cluster_words(figures.contrasts.silhouette)} clusters (silhouette "
                f"{_figure(figures.contrasts.silhouette)})."
            )
        nearest = min(NEIGHBOURS, len(points.labels) - 1)
        yield (
            f"For {_percent(figures.contrasts.accuracy)} of the {points.kind.words}, most of the "
            f"{nearest} nearest maps of other people are of the same contrast (by chance "
            f"{_percent(figures.contrasts.chance)}); {_percent(shares.contrasts)} of the variance "
            f"lies between contrasts, {_percent(shares.people)} between people and "
            f"{_percent(shares.residual)} in neither."
        )
    layout = found[0].layouts[0]
    labels, typical = next(iter(found[0].typical.values()))
    words = unusual_words(typical)
    odd = sum(word != "no" for word in words)
    yield (
        f"Of {counted(len(labels), 'participant')}, {layout.components.needed()} of "
        f"{len(layout.components.shares)} components carry 90 % of the variance between "
        f"{found[0].kind.words}; "
        + (f"{_people(odd)} {'is' if odd == 1 else 'are'}" if odd else "nobody is")
        + " unusual."
    )


def _percent(share: float) -> str:
    """Format a share without decimals; shares near 0 and 1 are not rounded to them."""
    if 0 < share < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 < share < 1 else f"{share:.0%}".replace("%", " %")


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"


def _cluster_words(silhouette: float) -> str:
    """Return the words of Kaufman & Rousseeuw 1990, Finding groups in data, for a silhouette."""
    for least, words in ((0.7, "strong"), (0.5, "reasonable"), (0.25, "weak")):
        if silhouette > least:
            return words
    return "no substantial"


def _figure(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _flags(people: GroupPeople, found: Sequence[Embedded]) -> Iterator[Flag]:
    if few := too_few(len(people)):
        yield Flag("warning", few)
    if people.left_out:
        who = named([title for title, _ in people.left_out])
        yield Flag("note", f"{counted(len(people.left_out), 'average')} left out: {who}")
    failed = {label: why for one_kind in found for label, why in one_kind.failed.items()}
    for label, why in islice(failed.items(), 5):
        yield Flag("warning", f"sub-{label} is left out of some tables: {why}")
    if umap_is_missing():
        yield Flag("note", NO_UMAP.capitalize().replace("umap: pip", "UMAP: pip"))


def _maps_section(found: Sequence[Embedded]) -> PageSection:
    pooled = [one_kind.maps for one_kind in found if one_kind.maps is not None]
    text = [
        "Each person's map of each contrast is a point. A contrast that is a cluster has maps that "
        "are alike in everybody; after subtracting the contrasts' mean maps, the rest are "
        "people's deviations, by which a contrast may still be found. Synthetic maps may "
        "cluster more than measured ones: a model predicts the mean well, and deviations poorly.",
    ]
    rows = [
        (
            f"{points.kind.words}: {space}",
            figures.contrasts.silhouette,
            figures.task_silhouette,
            figures.contrasts.accuracy,
            figures.contrasts.chance,
            figures.people.accuracy,
            figures.people.chance,
            figures.kept,
        )
        for points in pooled
        for space, figures in points.figures.items()
    ]
    clusters = Table(
        f"Clusters. Silhouettes from {_MINUS}1 to 1. Accuracy: the majority of the {NEIGHBOURS} "
        "nearest maps, of other people for the contrast, of other contrasts for the person.",
        (
            "Distances of",
            "silhouette, contrasts",
            "silhouette, tasks",
            "contrast found",
            "chance",
            "person found",
            "chance of it",
            "neighbours kept",
        ),
        rows,
    )
    shares = Table(
        "Shares of the variance of all maps. The contrasts' mean maps alone are the first "
        "figure: a model that predicts the same maps for everybody would explain it.",
        ("Maps", "contrasts", "people", "neither"),
        [
            (
                points.kind.words,
                points.shares.contrasts,
                points.shares.people,
                points.shares.residual,
            )
            for points in pooled
        ],
    )
    return PageSection("Contrasts", text if pooled else (), (clusters, shares))


def _people_section(found: Sequence[Embedded], known: Mapping[str, Column]) -> PageSection:
    rows, few, scatters = [], [], []
    for one_kind in found:
        labels, typical = next(iter(one_kind.typical.values()))
        words = unusual_words(typical)
        rows += _unusual_rows(one_kind.kind.words, labels, typical, words, known)
        few += _typical_rows(one_kind.kind.words, labels, typical, known)
        fd = values_of(known, "fd_mean", labels)
        scatters.append(
            Scatter(
                f"Distance from the others' mean against motion: {one_kind.kind.words}",
                REST_QUALITY["fd_mean"],
                "distance",
                np.column_stack([fd, typical.distance]),
                groups=["atypical" if word != "no" else "typical" for word in words],
            )
        )
    nobody = [] if rows else ["Nobody is atypical by this rule."]
    columns = ("Person", "of", "distance", "r with the others", "atypical", *REST_QUALITY.values())
    return PageSection(
        "Typical and atypical people",
        [
            "Each person is compared with the mean of all others, over all contrasts. A distance "
            "grows with amplitude and with pattern; r measures the pattern alone. People are "
            "atypical if they lie "
            f"more than {MOST_DEVIATIONS:g} scaled median absolute deviations from the median: "
            "this describes these people, and is no test. An atypical map may be due to motion or "
            "to short rest: both are in the table, and the correlations below are over everybody.",
            *nobody,
        ],
        [
            Table("Atypical people, the furthest first", columns, rows[:_MOST_SHOWN]),
            Table("The most typical people", columns, few),
            Table(
                "Whether atypical maps go with motion or short rest: Spearman's correlation over "
                "people with its 95 % interval",
                ("Figure", "against", "correlation", "people"),
                list(_motion_cells(found, known)),
            ),
        ],
        scatters=scatters,
    )


def _unusual_rows(
    words: str,
    labels: Sequence[str],
    typical: Typicality,
    unusual_as: Sequence[str],
    known: Mapping[str, Column],
) -> list[tuple[str | float, ...]]:
    order = np.argsort(-typical.distance).tolist()
    chosen = [row for row in order if unusual_as[row] != "no"]
    return [_person_row(words, labels, typical, row, unusual_as[row], known) for row in chosen]


def _typical_rows(
    words: str, labels: Sequence[str], typical: Typicality, known: Mapping[str, Column]
) -> list[tuple[str | float, ...]]:
    order = np.argsort(typical.distance)[:_TYPICAL_SHOWN].tolist()
    return [_person_row(words, labels, typical, row, "no", known) for row in order]


def _person_row(
    words: str,
    labels: Sequence[str],
    typical: Typicality,
    row: int,
    unusual_as: str,
    known: Mapping[str, Column],
) -> tuple[str | float, ...]:
    own = [labels[row]]
    return (
        f"sub-{labels[row]}",
        words,
        float(typical.distance[row]),
        float(typical.r[row]),
        unusual_as,
        *(float(values_of(known, name, own)[0]) for name in REST_QUALITY),
    )


def _motion_cells(
    found: Sequence[Embedded], known: Mapping[str, Column]
) -> Iterator[tuple[str | tuple[float, float, float] | float, ...]]:
    for one_kind in found:
        first = next(iter(one_kind.typical))
        for row in motion_rows(one_kind, known):
            if row["contrast"] == (first or None):
                rho = Interval(*(float(str(row[name])) for name in ("rho", "low", "high")))
                yield (
                    f"{one_kind.kind.words}: {row['figure']}",
                    REST_QUALITY[str(row["against"])],
                    (rho.mean, rho.low, rho.high),
                    int(str(row["people"])),
                )


def _components_section(found: Sequence[Embedded]) -> PageSection:
    rows = [
        (
            f"{layout.kind.words}{f': {layout.contrast}' if layout.contrast else ''}",
            len(layout.labels),
            float(layout.components.shares[0]),
            layout.components.needed(),
            len(layout.components.shares),
        )
        for one_kind in found
        for layout in one_kind.layouts
    ]
    likeness = [
        (f"{row['features']} and {row['others']}", float(str(row["r"])), int(str(row["people"])))
        for row in likeness_rows(found)
    ]
    return PageSection(
        "People's components",
        [
            "How many components carry 90 % of the variance between people, out of all "
            "components: for noise it would be nearly nine in ten. Synthetic maps are a function "
            "of the rest behind the connectome: where distances between people agree with those of "
            "its edges, the maps show the connectome's differences, and no further ones."
        ],
        [
            Table(
                "Components of people",
                ("Maps", "people", "share of the first", "for 90 %", "of components"),
                rows,
            ),
            Table(
                "Whether the same people are close to each other: Pearson r of distances, over "
                "pairs of people",
                ("Kinds", "r", "people"),
                likeness,
            ),
        ],
    )


def _how_section(people: GroupPeople) -> PageSection:
    return PageSection(
        "How it was made",
        [
            f"{counted(len(people), 'participant')}; the maps of a person are averaged first. "
            "Components are of the inner products of deviations from the mean, over places where "
            "everybody has a value; nothing was scaled, so that contrasts with larger maps weigh "
            "more where all are put together. UMAP starts at the first two components, with 15 "
            "neighbours and a smallest distance of 0.1; its draws, and those of people where there "
            f"are too many to lay out, have the seed {people.settings.modelling.seed}. Nothing was "
            "permuted or tested, and relatives count like anybody else.",
        ],
    )


def embedding_plot(
    people: GroupPeople, found: Sequence[Embedded], known: Mapping[str, Column]
) -> EmbeddingPlot:
    """Return the clouds of the plot, and the variables of people."""
    labels = people.labels
    number = {label: n for n, label in enumerate(labels)}
    first, typical = next(iter(found[0].typical.values()))
    odd = {label for label, word in zip(first, unusual_words(typical), strict=True) if word != "no"}
    distances = dict(zip(first, typical.distance.tolist(), strict=True))
    names = list(
        dict.fromkeys(
            label for one_kind in found if one_kind.maps for label in one_kind.maps.contrasts
        )
    )
    tasks = {
        label: task
        for one_kind in found
        if one_kind.maps
        for label, task in zip(one_kind.maps.contrasts, one_kind.maps.tasks, strict=True)
    }
    clouds = [
        *(_map_cloud(one_kind.maps, number, names) for one_kind in found if one_kind.maps),
        *(_cloud(layout, number) for one_kind in found for layout in one_kind.layouts),
    ]
    return EmbeddingPlot(
        [PagePerson(f"sub-{label}", _address(people, label), label in odd) for label in labels],
        [
            PageColumn("distance from the others", [distances.get(label) for label in labels]),
            *(_page_column(column, labels) for column in known.values()),
        ],
        [PageContrast(label, tasks[label]) for label in names],
        [cloud for cloud in clouds if len(cloud.axes) > 1],
    )


def _address(people: GroupPeople, label: str) -> str | None:
    page = people.output.root / f"sub-{label}.html"
    return f"../../{link(page, people.output)}" if page.is_file() else None


def _page_column(column: Column, labels: Iterable[str]) -> PageColumn:
    if column.is_number:
        return PageColumn(column.name, [column.numbers.get(label) for label in labels])
    place = {level: n for n, level in enumerate(column.levels)}
    values = [place.get(column.texts.get(label, "")) for label in labels]
    return PageColumn(column.name, values, column.levels)


def _map_cloud(points: MapPoints, number: Mapping[str, int], names: Sequence[str]) -> PageCloud:
    whose = np.array([number[label] for label in points.labels])
    which = np.array([names.index(label) for label in points.contrasts])
    return PageCloud(
        "each map of each contrast",
        points.kind.words,
        f"{points.kind.words.capitalize()} of {_people(len(points.labels))} and "
        f"{counted(len(points.contrasts), 'contrast')}.",
        whose[points.people],
        _axes(points.components, points.umap),
        which[points.of_contrasts],
    )


def _cloud(layout: Layout, number: Mapping[str, int]) -> PageCloud:
    of = f", {layout.contrast}" if layout.contrast else ""
    return PageCloud(
        f"people, by {layout.contrast}" if layout.contrast else "people",
        layout.kind.words,
        f"{_people(len(layout.labels))} by {layout.kind.words}{of}: "
        f"{layout.components.needed()} of {len(layout.components.shares)} components carry 90 %.",
        np.array([number[label] for label in layout.labels]),
        _axes(layout.components, layout.umap),
    )


def _axes(components: Components, umap: Values | None) -> dict[str, NDArray[np.floating]]:
    axes: dict[str, NDArray[np.floating]] = {
        f"PC {n + 1}, {_percent(share)} of variance": components.scores[:, n]
        for n, share in enumerate(components.shares[: min(_AXES_SHOWN, components.scores.shape[1])])
    }
    if umap is not None:
        axes |= {"UMAP 1": umap[:, 0], "UMAP 2": umap[:, 1]}
    return axes
