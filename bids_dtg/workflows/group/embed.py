"""``group --analysis embed``: people and their maps laid out, who is atypical, and the page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.temporary import temporary_folder
from bids_dtg.inputs.participants import Column
from bids_dtg.notices import counted, named, say, show
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Scatter, Table
from bids_dtg.report.pages.embedding import (
    EmbeddingPlot,
    PageCloud,
    PageColumn,
    PageContrast,
    PagePerson,
    write_embedding_page,
)
from bids_dtg.report.pages.index import STATISTICS_PAGE
from bids_dtg.report.pages.page import link
from bids_dtg.settings import Settings
from bids_dtg.stats.cohort.embedding import (
    FEWEST_POINTS,
    NEIGHBOURS,
    Components,
    same_arrangement,
    umap_is_missing,
)
from bids_dtg.stats.cohort.typicality import (
    MOST_DEVIATIONS,
    Typicality,
    deviations_from_median,
    rank_correlation,
    unusual,
)
from bids_dtg.stats.paired import Interval
from bids_dtg.workflows.group.features import find_features
from bids_dtg.workflows.group.layouts import (
    ALL,
    NO_UMAP,
    TOGETHER,
    Embedded,
    Layout,
    MapPoints,
    Values,
    embed,
)
from bids_dtg.workflows.group.people import FEW_PEOPLE, GroupPeople, gather_people
from bids_dtg.workflows.group.results import GroupResults

Row = dict[str, object]

_DEFAULT = ("maps", "edges", "measured")
BESIDE = ("fd_mean", "minutes_kept")  # figures of runs that an atypical map may stand for
_MOST_LEVELS = 48  # of a column that points are coloured by: more are names
_MINUS = "\N{MINUS SIGN}"
_AXES, _AXES_SHOWN = 10, 5  # components in tables, and on the page
_MOST_SHOWN = 25  # unusual people on the page
_TYPICAL_SHOWN = 5
_FEATURES = "What of each participant was laid out, as --features names it"
_CONTRAST = f"Label of the contrast; {TOGETHER}: side by side; n/a: of none"
_COORDINATES = {
    **{
        f"pc{n}": f"Score on component {n}, in units of the maps (root mean square over places)"
        for n in range(1, _AXES + 1)
    },
    "umap1": "UMAP, horizontal; no unit",
    "umap2": "UMAP, vertical; no unit",
}
_PEOPLE = {"participant_id": "Participant", "features": _FEATURES, "contrast": _CONTRAST}
_TYPICALITY = {
    **_PEOPLE,
    "distance": "Root mean square over places of the difference from the mean of all others, in "
    f"units of the maps; {TOGETHER}: root of the mean of the squares",
    "distance_deviations": "The same from the people's median, in scaled median absolute "
    "deviations",
    "r": f"Pearson r over places with the mean of all others; {TOGETHER}: mean over contrasts",
    "r_deviations": "The same from the people's median, in scaled median absolute deviations",
    "unusual": f"distance: more than {MOST_DEVIATIONS:g} deviations above the median; pattern: r "
    f"more than {MOST_DEVIATIONS:g} below; both; no",
    "fd_mean": "Mean framewise displacement of the person's rest (mm)",
    "minutes_kept": "Minutes of rest that maps were made of",
    "rest": f"moving: fd_mean more than {MOST_DEVIATIONS:g} deviations above the median; short: "
    f"minutes_kept more than {MOST_DEVIATIONS:g} below; both; no",
}
_SHARES = {
    "features": _FEATURES,
    "contrast": _CONTRAST,
    "people": "How many people were laid out",
    "component": "Number of the component, the largest first",
    "share": "Share of the variance between people",
    "cumulative": "The same of this component and all larger ones",
}
_FIGURES = {
    "features": _FEATURES,
    "space": "What distances are of: all components, the maps without the contrasts' mean maps, "
    "the first two components, or UMAP",
    "people": "How many people",
    "contrasts": "How many contrasts",
    "silhouette": "Of the contrasts, -1 to 1 (Rousseeuw 1987)",
    "task_silhouette": "Of the tasks",
    "contrast_accuracy": f"Share of maps whose contrast most of the {NEIGHBOURS} nearest maps of "
    "other people have",
    "contrast_chance": "The same, where contrasts mean nothing",
    "person_accuracy": f"Share of maps whose person most of the {NEIGHBOURS} nearest maps of other "
    "contrasts are of",
    "person_chance": "The same, where maps are nobody's own",
    "trustworthiness": "How far neighbours here are neighbours of the whole maps, 0 to 1 (Venna & "
    "Kaski 2001)",
}
_VARIANCE = {
    "features": _FEATURES,
    "contrasts": "Share of the variance of all maps between the contrasts' mean maps",
    "people": "Share between the people's mean maps",
    "rest": "Share of neither: of one person in one contrast, and noise",
}
_MOTION = {
    "features": _FEATURES,
    "contrast": _CONTRAST,
    "figure": "Figure of atypicality: distance or r",
    "against": "What of the rest it is held against",
    "people": "How many have both",
    "rho": "Spearman's correlation over people",
    "low": "Lower end of its 95 % interval (Bonett & Wright 2000)",
    "high": "Upper end",
}
_LIKENESS = {
    "features": _FEATURES,
    "others": "What it is compared with",
    "people": "How many have both",
    "r": "Pearson r of the distances between people, over pairs of people",
}


def run_embed(settings: Settings) -> int:
    """Write layouts, figures, tables and the page; return how many people could not be read.

    Parameters
    ----------
    settings
        Options of the call.

    Raises
    ------
    DatasetError
        The output folder holds no maps, or those of three people or fewer.
    """
    people = gather_people(settings)
    if len(people) < FEWEST_POINTS:
        raise DatasetError(
            f"only {counted(len(people), 'participant')} with maps: too few to lay out",
            expected=f"{FEWEST_POINTS} or more",
        )
    sources = find_features(people, _DEFAULT)
    results = GroupResults.of(settings, people.output)
    if settings.behaviour.dry_run:
        kinds = named([source.kind.words for source in sources])
        show(f"would lay out {counted(len(people), 'participant')} by {kinds} in {results.path}")
        return 0
    if umap_is_missing():
        say(NO_UMAP)
    with results.begun():
        found = []
        for source in sources:
            say(f"{source.kind.words}: {counted(len(source.contrasts), 'table')}")
            with temporary_folder() as folder:
                embedded = embed(source, people.of(source.has), folder)
            if embedded is not None:
                found.append(embedded)
        if not found:
            raise DatasetError(
                "nobody's maps differ from those of others", expected="maps that can be laid out"
            )
        _write_results(results, people, found)
    failed = {label for embedded in found for label in embedded.failed}
    return len(failed)


def _known_columns(people: GroupPeople) -> dict[str, Column]:
    """Return what is known of people: figures of their runs, and columns of the table.

    Columns of words in which nearly everybody has a value of the person's own are left out.
    """
    found = {}
    table = {} if people.table is None else people.table.columns
    for name in dict.fromkeys((*BESIDE, *table)):
        with contextlib.suppress(SettingsError):
            column = people.column(name)
            if column.is_number or 1 < len(column.levels) <= _MOST_LEVELS:
                found[name] = column
    return found


def _write_results(results: GroupResults, people: GroupPeople, found: Sequence[Embedded]) -> None:
    """Write tables and page of what was found; a line has the answer."""
    known = _known_columns(people)
    _write_coordinates(results, found)
    results.table(
        "desc-people_typicality",
        [row for one_kind in found for row in _typicality_rows(one_kind, known)],
        _TYPICALITY,
        "A person's map of a contrast against the mean of all others'. The rule describes these "
        "people, and tests nothing",
    )
    results.table(
        "desc-maps_clusters", list(_figure_rows(found)), _FIGURES, "Clusters of maps in a space"
    )
    results.table(
        "desc-maps_variance", list(_variance_rows(found)), _VARIANCE, "What the maps' variance is"
    )
    results.table(
        "desc-people_motion",
        [row for one_kind in found for row in _motion_rows(one_kind, known)],
        _MOTION,
        "A figure of atypicality against a figure of people's rest",
    )
    results.table(
        "desc-people_likeness",
        list(_likeness_rows(found)),
        _LIKENESS,
        "Whether two kinds of numbers put the same people close to each other",
    )
    facts = _page(people, found, known)
    say(facts.lead)
    path = results.add(STATISTICS_PAGE)
    if trouble := write_embedding_page(path, facts, _plot(people, found, known)):
        say(trouble)


def _write_coordinates(results: GroupResults, found: Sequence[Embedded]) -> None:
    layouts = [layout for one_kind in found for layout in one_kind.layouts]
    results.table(
        "desc-people_coordinates",
        [row for layout in layouts for row in _layout_rows(layout)],
        {**_PEOPLE, **_COORDINATES},
        "A person among all by the map of a contrast. Signs of components are such that the "
        "largest score is positive",
    )
    maps = [one_kind.maps for one_kind in found if one_kind.maps is not None]
    results.table(
        "desc-maps_coordinates",
        [row for points in maps for row in _map_rows(points)],
        {**_PEOPLE, "task": "Task of the contrast", **_COORDINATES},
        "A map among all maps of all contrasts",
    )
    results.table(
        "desc-people_components",
        [row for layout in layouts for row in _share_rows(layout)],
        _SHARES,
        "A principal component of people",
    )


def _layout_rows(layout: Layout) -> Iterator[Row]:
    for row, label in enumerate(layout.labels):
        yield {
            "participant_id": f"sub-{label}",
            "features": layout.kind.name,
            "contrast": layout.contrast or None,
            **_coordinates(layout.components, layout.umap, row),
        }


def _map_rows(points: MapPoints) -> Iterator[Row]:
    for row, (person, contrast) in enumerate(zip(points.people, points.of_contrasts, strict=True)):
        yield {
            "participant_id": f"sub-{points.labels[person]}",
            "features": points.kind.name,
            "contrast": points.contrasts[contrast],
            "task": points.tasks[contrast] or None,
            **_coordinates(points.components, points.umap, row),
        }


def _coordinates(components: Components, umap: Values | None, row: int) -> Row:
    own: Row = {f"pc{n}": value for n, value in enumerate(components.scores[row, :_AXES], 1)}
    if umap is not None:
        own |= {"umap1": umap[row, 0], "umap2": umap[row, 1]}
    return own


def _share_rows(layout: Layout) -> Iterator[Row]:
    shares = layout.components.shares
    for n, (share, whole) in enumerate(zip(shares, np.cumsum(shares), strict=True), 1):
        yield {
            "features": layout.kind.name,
            "contrast": layout.contrast or None,
            "people": len(layout.labels),
            "component": n,
            "share": share,
            "cumulative": whole,
        }


def _values_of(known: Mapping[str, Column], name: str, labels: Sequence[str]) -> Values:
    column = known.get(name)
    numbers = {} if column is None else column.numbers
    return np.array([numbers.get(label, np.nan) for label in labels])


def _typicality_rows(found: Embedded, known: Mapping[str, Column]) -> Iterator[Row]:
    for contrast, (labels, typical) in found.typical.items():
        beside = {name: _values_of(known, name, labels) for name in BESIDE}
        moved, short = unusual(beside["fd_mean"]), unusual(beside["minutes_kept"], low=True)
        words = unusual_words(typical)
        far, odd = map(deviations_from_median, (typical.distance, typical.r))
        for row, label in enumerate(labels):
            yield {
                "participant_id": f"sub-{label}",
                "features": found.kind.name,
                "contrast": contrast or None,
                "distance": typical.distance[row],
                "distance_deviations": far[row],
                "r": typical.r[row],
                "r_deviations": odd[row],
                "unusual": words[row],
                **{name: values[row] for name, values in beside.items()},
                "rest": _both(moved[row], short[row], "moving", "short"),
            }


def unusual_words(typical: Typicality) -> list[str]:
    """Return of each person whether the map is unusual: distance, pattern, both or no."""
    far, odd = unusual(typical.distance), unusual(typical.r, low=True)
    return [_both(*pair, "distance", "pattern") for pair in zip(far, odd, strict=True)]


def _both(first: np.bool_, second: np.bool_, word: str, other: str) -> str:
    if first and second:
        return "both"
    return word if first else other if second else "no"


def _figure_rows(found: Sequence[Embedded]) -> Iterator[Row]:
    for points in (one_kind.maps for one_kind in found if one_kind.maps is not None):
        for space, figures in points.figures.items():
            yield {
                "features": points.kind.name,
                "space": space,
                "people": len(points.labels),
                "contrasts": len(points.contrasts),
                "silhouette": figures.contrasts.silhouette,
                "task_silhouette": figures.task_silhouette,
                "contrast_accuracy": figures.contrasts.accuracy,
                "contrast_chance": figures.contrasts.chance,
                "person_accuracy": figures.people.accuracy,
                "person_chance": figures.people.chance,
                "trustworthiness": figures.kept,
            }


def _variance_rows(found: Sequence[Embedded]) -> Iterator[Row]:
    for points in (one_kind.maps for one_kind in found if one_kind.maps is not None):
        yield {"features": points.kind.name, **vars(points.shares)}


def _motion_rows(found: Embedded, known: Mapping[str, Column]) -> Iterator[Row]:
    for contrast, (labels, typical) in found.typical.items():
        for figure, values in vars(typical).items():
            for name in BESIDE:
                other = _values_of(known, name, labels)
                rho = rank_correlation(values, other)
                yield {
                    "features": found.kind.name,
                    "contrast": contrast or None,
                    "figure": figure,
                    "against": name,
                    "people": int((np.isfinite(values) & np.isfinite(other)).sum()),
                    "rho": rho.mean,
                    "low": rho.low,
                    "high": rho.high,
                }


def _likeness_rows(found: Sequence[Embedded]) -> Iterator[Row]:
    for (kind, whole), (other, another) in combinations(
        ((one_kind.kind, one_kind.whole) for one_kind in found), 2
    ):
        if whole is None or another is None:
            continue
        common = sorted(set(whole[0]) & set(another[0]))
        if len(common) < FEW_PEOPLE:
            continue
        clouds = [
            cloud.of(np.array([labels.index(label) for label in common]))
            for labels, cloud in (whole, another)
        ]
        yield {
            "features": kind.name,
            "others": other.name,
            "people": len(common),
            "r": same_arrangement(*clouds),
        }


# The page


def _page(
    people: GroupPeople, found: Sequence[Embedded], known: Mapping[str, Column]
) -> AnalysisPageFacts:
    return AnalysisPageFacts(
        "Embedding",
        " ".join(_answer(found, len(people))),
        [*people.flags, *_flags(people, found)],
        [
            _maps_section(found),
            _people_section(found, known),
            _components_section(found),
            _how_section(people),
        ],
        index="../../index.html",
    )


def _answer(found: Sequence[Embedded], number: int) -> Iterator[str]:
    """Yield the answer in sentences: clusters of contrasts first, then people."""
    points = next((one_kind.maps for one_kind in found if one_kind.maps is not None), None)
    if points is not None:
        figures, shares = points.figures[ALL], points.shares
        if len(points.labels) >= FEW_PEOPLE:
            yield (
                f"The {len(points.contrasts)} contrasts form "
                f"{_cluster_words(figures.contrasts.silhouette)} clusters (silhouette "
                f"{_figure(figures.contrasts.silhouette)})."
            )
        yield (
            f"For {_percent(figures.contrasts.accuracy)} of the {points.kind.words}, most of the "
            f"{NEIGHBOURS} nearest maps of other people are of the same contrast (by chance "
            f"{_percent(figures.contrasts.chance)}); {_percent(shares.contrasts)} of the variance "
            f"lies between contrasts, {_percent(shares.people)} between people and "
            f"{_percent(shares.rest)} in neither."
        )
    layout = found[0].layouts[0]
    words = unusual_words(next(iter(found[0].typical.values()))[1])
    odd = sum(word != "no" for word in words)
    yield (
        f"Of {counted(number, 'participant')}, {layout.components.needed()} of "
        f"{len(layout.components.shares)} components carry 90 % of what differs between "
        f"{found[0].kind.words}; "
        + (f"{_people(odd)} {'is' if odd == 1 else 'are'}" if odd else "nobody is")
        + " unusual."
    )


def _percent(share: float) -> str:
    """Write a share without decimals; what is not quite none or all is not called so."""
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
    if len(people) < FEW_PEOPLE:
        yield Flag("warning", f"{counted(len(people), 'participant')}: too few for any verdict")
    if people.left_out:
        who = named([title for title, _ in people.left_out])
        yield Flag("note", f"{counted(len(people.left_out), 'set')} left out: {who}")
    failed = {label: why for one_kind in found for label, why in one_kind.failed.items()}
    for label, why in islice(failed.items(), 5):
        yield Flag("warning", f"sub-{label} is left out of some tables: {why}")
    if umap_is_missing():
        yield Flag("note", NO_UMAP.capitalize().replace("umap: pip", "UMAP: pip"))


def _maps_section(found: Sequence[Embedded]) -> PageSection:
    pooled = [one_kind.maps for one_kind in found if one_kind.maps is not None]
    text = [
        "Each person's map of each contrast is a point. A contrast that is a cluster has maps that "
        "are alike in everybody; where the contrasts' mean maps are taken off, what is left is "
        "people's own, and a contrast that is still found is found by that. Synthetic maps may "
        "cluster more than measured ones: a model predicts the mean well, and little of the rest.",
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
        "What the variance of all maps lies between. The contrasts' mean maps alone are the first "
        "figure: what a model would explain that gives everybody the same maps.",
        ("Maps", "contrasts", "people", "neither"),
        [
            (points.kind.words, points.shares.contrasts, points.shares.people, points.shares.rest)
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
        fd = _values_of(known, "fd_mean", labels)
        scatters.append(
            Scatter(
                f"Distance from the others' mean against motion: {one_kind.kind.words}",
                "fd_mean (mm)",
                "distance",
                np.column_stack([fd, typical.distance]),
                groups=["unusual" if word != "no" else "usual" for word in words],
            )
        )
    nobody = [] if rows else ["Nobody is unusual by this rule."]
    columns = ("Person", "of", "distance", "r with the others", "unusual", *BESIDE)
    return PageSection(
        "Typical and atypical people",
        [
            "Each person is compared with the mean of all others, over all contrasts. A distance "
            "grows with amplitude and with pattern; r knows the pattern alone. Unusual is who lies "
            f"more than {MOST_DEVIATIONS:g} scaled median absolute deviations from the median: "
            "this describes these people, and is no test. An unusual map may stand for motion or "
            "for short rest: both are beside it, and the correlations below are of everybody.",
            *nobody,
        ],
        [
            Table("Unusual people, the furthest first", columns, rows[:_MOST_SHOWN]),
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
        *(float(_values_of(known, name, own)[0]) for name in BESIDE),
    )


def _motion_cells(
    found: Sequence[Embedded], known: Mapping[str, Column]
) -> Iterator[tuple[str | tuple[float, float, float] | float, ...]]:
    for one_kind in found:
        first = next(iter(one_kind.typical))
        for row in _motion_rows(one_kind, known):
            if row["contrast"] == (first or None):
                rho = Interval(*(float(str(row[name])) for name in ("rho", "low", "high")))
                yield (
                    f"{one_kind.kind.words}: {row['figure']}",
                    str(row["against"]),
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
        for row in _likeness_rows(found)
    ]
    return PageSection(
        "People's components",
        [
            "How many components carry 90 % of the variance between people, of those that there "
            "are: of noise it would be nearly nine in ten. Synthetic maps are a function of the "
            "rest that the connectome is of: where distances between people agree with those of "
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
            f"{counted(len(people), 'participant')}; a person's sets of maps were averaged. "
            "Components are of the inner products of deviations from the mean, over places where "
            "everybody has a value; nothing was scaled, so that contrasts with larger maps weigh "
            "more where all are put together. UMAP starts at the first two components, with 15 "
            "neighbours and a smallest distance of 0.1; its draws, and those of people where there "
            f"are too many to lay out, have the seed {people.settings.modelling.seed}. Nothing was "
            "permuted or tested, and relatives count as anybody else.",
        ],
    )


def _plot(
    people: GroupPeople, found: Sequence[Embedded], known: Mapping[str, Column]
) -> EmbeddingPlot:
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
