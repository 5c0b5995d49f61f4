"""Layouts as rows of tables: coordinates, clusters, and atypicality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.inputs.participants import Column as Known
from bids_dtg.statistics.embed.layouts import (
    TOGETHER,
    Embedded,
    Layout,
    MapPoints,
    Values,
)
from bids_dtg.stats.cohort.embedding import (
    NEIGHBOURS,
    Components,
    same_arrangement,
)
from bids_dtg.stats.cohort.typicality import (
    MOST_DEVIATIONS,
    Typicality,
    deviations_from_median,
    rank_correlation,
    unusual,
)
from bids_dtg.stats.verdict import FEWEST

Row = dict[str, object]
_AXES = 10  # components in tables
# Quality measures that may explain an atypical map, and their names on the page.
REST_QUALITY = {"fd_mean": "mean motion (mm)", "minutes_kept": "minutes of rest"}
_FEATURES = "Features of each participant, a value of --feature-sets"
_CONTRAST = f"Label of the contrast; {TOGETHER}: side by side; n/a: none"
COORDINATES = (
    *(
        Column(
            f"pc{n}", f"Score on component {n}, in units of the maps (root mean square over places)"
        )
        for n in range(1, _AXES + 1)
    ),
    Column("umap1", "UMAP, horizontal; no unit"),
    Column("umap2", "UMAP, vertical; no unit"),
)
OF_PEOPLE = (
    Column("participant_id", "Participant"),
    Column("features", _FEATURES),
    Column("contrast", _CONTRAST),
)
TYPICALITY = (
    *OF_PEOPLE,
    Column(
        "distance",
        "Root mean square over places of the difference from the mean of all others, in "
        f"units of the maps; {TOGETHER}: root of the mean of the squares",
    ),
    Column(
        "distance_deviations",
        "The same from the people's median, in scaled median absolute deviations",
    ),
    Column(
        "r", f"Pearson r over places with the mean of all others; {TOGETHER}: mean over contrasts"
    ),
    Column(
        "r_deviations", "The same from the people's median, in scaled median absolute deviations"
    ),
    Column(
        "atypical",
        f"distance: more than {MOST_DEVIATIONS:g} deviations above the median; pattern: r "
        f"more than {MOST_DEVIATIONS:g} below; both; no",
    ),
    Column("fd_mean", "Mean framewise displacement of the person's rest (mm)"),
    Column("minutes_kept", "Minutes of rest that maps were made of"),
    Column(
        "rest_quality",
        f"moving: fd_mean more than {MOST_DEVIATIONS:g} deviations above the median; short: "
        f"minutes_kept more than {MOST_DEVIATIONS:g} below; both; no",
    ),
)
SHARES = (
    Column("features", _FEATURES),
    Column("contrast", _CONTRAST),
    Column("people", "Number of people"),
    Column("component", "Number of the component, the largest first"),
    Column("share", "Share of the variance between people"),
    Column("cumulative", "The same of this component and all larger ones"),
)
FIGURES = (
    Column("features", _FEATURES),
    Column(
        "space",
        "Space of the distances: all components, the maps minus the contrasts' mean maps, "
        "the first two components, or UMAP",
    ),
    Column("people", "Number of people"),
    Column("contrasts", "Number of contrasts"),
    Column("silhouette", "Silhouette of the contrasts, -1 to 1 (Rousseeuw 1987)"),
    Column("task_silhouette", "Silhouette of the tasks"),
    Column(
        "contrast_accuracy",
        f"Share of maps whose contrast most of the {NEIGHBOURS} nearest maps of other people have",
    ),
    Column("contrast_chance", "Expected share if contrasts were exchangeable"),
    Column(
        "person_accuracy",
        f"Share of maps whose person most of the {NEIGHBOURS} nearest maps of other "
        "contrasts are of",
    ),
    Column("person_chance", "Expected share if people were exchangeable"),
    Column(
        "trustworthiness",
        "Trustworthiness of neighbours in this space, 0 to 1 (Venna & Kaski 2001)",
    ),
)
VARIANCE = (
    Column("features", _FEATURES),
    Column("contrasts", "Share of the variance of all maps between the contrasts' mean maps"),
    Column("people", "Share of the variance of all maps between the people's mean maps"),
    Column("residual", "Residual share: between maps of one person and contrast, and noise"),
)
MOTION = (
    Column("features", _FEATURES),
    Column("contrast", _CONTRAST),
    Column("figure", "Measure of atypicality: distance or r"),
    Column("against", "Quality measure of rest that it is correlated with"),
    Column("people", "Number of people with both"),
    Column("rho", "Spearman's correlation over people"),
    Column("low", "Lower end of its 95 % interval (Bonett & Wright 2000)"),
    Column("high", "Upper end of this interval"),
)
LIKENESS = (
    Column("features", _FEATURES),
    Column("others", "Features that it is compared with"),
    Column("people", "Number of people with both"),
    Column("r", "Pearson r of the distances between people, over pairs of people"),
)


def layout_rows(layout: Layout) -> Iterator[Row]:
    """Yield a row of coordinates for each person of a layout."""
    for row, label in enumerate(layout.labels):
        yield {
            "participant_id": f"sub-{label}",
            "features": layout.kind.name,
            "contrast": layout.contrast or None,
            **_coordinates(layout.components, layout.umap, row),
        }


def map_rows(points: MapPoints) -> Iterator[Row]:
    """Yield a row of coordinates for each map of a cloud."""
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


def share_rows(layout: Layout) -> Iterator[Row]:
    """Yield a row for each component of a layout."""
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


def values_of(known: Mapping[str, Known], name: str, labels: Sequence[str]) -> Values:
    """Return the numbers of a column, (people,); NaN if missing."""
    column = known.get(name)
    numbers = {} if column is None else column.numbers
    return np.array([numbers.get(label, np.nan) for label in labels])


def typicality_rows(found: Embedded, known: Mapping[str, Known]) -> Iterator[Row]:
    """Yield a row for each person and contrast: distance of the map from the others'."""
    for contrast, (labels, typical) in found.typical.items():
        beside = {name: values_of(known, name, labels) for name in REST_QUALITY}
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
                "atypical": words[row],
                **{name: values[row] for name, values in beside.items()},
                "rest_quality": _both(moved[row], short[row], "moving", "short"),
            }


def unusual_words(typical: Typicality) -> list[str]:
    """Return for each person whether the map is atypical: distance, pattern, both or no."""
    far, odd = unusual(typical.distance), unusual(typical.r, low=True)
    return [_both(*pair, "distance", "pattern") for pair in zip(far, odd, strict=True)]


def _both(first: np.bool_, second: np.bool_, word: str, other: str) -> str:
    if first and second:
        return "both"
    return word if first else other if second else "no"


def figure_rows(found: Sequence[Embedded]) -> Iterator[Row]:
    """Yield a row for each kind and space: how well maps cluster there."""
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


def variance_rows(found: Sequence[Embedded]) -> Iterator[Row]:
    """Yield a row for each kind: shares of the variance of its maps."""
    for points in (one_kind.maps for one_kind in found if one_kind.maps is not None):
        yield {"features": points.kind.name, **vars(points.shares)}


def motion_rows(found: Embedded, known: Mapping[str, Known]) -> Iterator[Row]:
    """Yield a row for each measure of atypicality and each quality measure of rest."""
    for contrast, (labels, typical) in found.typical.items():
        for figure, values in vars(typical).items():
            for name in REST_QUALITY:
                other = values_of(known, name, labels)
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


def likeness_rows(found: Sequence[Embedded]) -> Iterator[Row]:
    """Yield a row for each pair of kinds: whether they put the same people close to each other."""
    for (kind, whole), (other, another) in combinations(
        ((one_kind.kind, one_kind.whole) for one_kind in found), 2
    ):
        if whole is None or another is None:
            continue
        common = sorted(set(whole[0]) & set(another[0]))
        if len(common) < FEWEST:
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
