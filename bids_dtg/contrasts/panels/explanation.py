"""What makes a participant's maps different: the table of contributions, and its panel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.explanation import LEVEL, PERMUTATIONS, Explanation
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path, parse_name
from bids_dtg.files.text import read_json, read_rows, write_json, write_tsv
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.notices import counted
from bids_dtg.report.contents import AverageFiles, ParticipantFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Section
from bids_dtg.report.quality import number

EXPLANATION = "explanation"  # value of desc-
OTHERS, ALL = "others", "all"  # in the column of ROIs: what is not shown, and the sum
_ROWS = 20  # of a page's table
_AMPLITUDE = (
    " The model reads a person's amplitude apart from the shape: the deviation of the written "
    "map along the mean map differs from this sum"
)
_SUM = "terms of a sum over ROIs, which add up exactly"
_PATH = (
    "integrated gradients (Sundararajan et al. 2017): differences are from the prediction for the "
    "training people's mean connectome, and contributions, each sure to a few percent, add up to "
    "them"
)
_COLUMNS = {
    "contrast": "Label of the contrast",
    "area": "Area: the places where this ROI map is the largest (see Areas)",
    "roi": f"ROI whose column of the connectome contributes to the prediction; {OTHERS}: the sum "
    f"of those that are not shown; {ALL}: the sum of all, which is the predicted deviation in the "
    "area",
    "contribution": "Part of the area's mean deviation from the mean prediction for the training "
    "people, in the units of the maps",
    "odd_half": "The same of the odd pieces of rest",
    "even_half": "The same of the even pieces of rest",
    "pattern": "Covariance over the training people of the column, in the direction in which it "
    "contributes more, with the measured deviation in the area (Haufe et al. 2014): below 0, "
    "contributions are against what was measured; of several sets of ROI maps, that of the column "
    "that brings most to this ROI",
    "p": f"Share of {PERMUTATIONS} permutations of the training people in which a column has as "
    "large a correlation with the measured deviation, in any area of the contrast",
}


def explanation_path(entities: Mapping[str, str], bundle: ModelBundle) -> PurePosixPath:
    """Return the path of the table, relative to the output folder; its JSON lies beside it."""
    named = {
        **entities,
        **bundle.places.entities,
        "stat": bundle.card.part.statistic,
        "desc": EXPLANATION,
    }
    return build_path(named, "statmap", ".tsv")


def write_explanation(
    entities: Mapping[str, str],
    explanation: Explanation,
    bundle: ModelBundle,
    output: DerivativeDataset,
    *,
    contrasts: Sequence[Contrast],
) -> Iterator[PurePosixPath]:
    """Write the table and its dictionary, and yield their paths.

    Areas without a contribution that may be interpreted have no rows.

    Parameters
    ----------
    entities
        Entities that all file names of the average share.
    explanation
        Of the average's maps.
    bundle
        The model that predicted them.
    output
        Output dataset in which the files are written.
    contrasts
        Those that have rows.
    """
    path = explanation_path(entities, bundle)
    rows = [
        [*names, *(None if value is None else f"{value:.6g}" for value in values)]
        for names, values in _rows(explanation, contrasts)
    ]
    write_tsv(output.path(path), list(_COLUMNS), rows)
    yield path
    write_json(output.path(path.with_suffix(".json")), _sidecar(bundle))
    yield path.with_suffix(".json")


def _rows(
    explanation: Explanation, contrasts: Sequence[Contrast]
) -> Iterator[tuple[tuple[str, str, str], list[float | None]]]:
    """Yield contrast, area and ROI, and the values; the largest contribution of an area first."""
    shown, all_parts = explanation.shown, explanation.contributions
    if explanation.halves is None:
        return
    parts = (all_parts, *explanation.halves)
    for contrast in contrasts:
        row = contrast.index
        for area in np.flatnonzero(shown[row].any(axis=0)):
            own = [part[row, :, area] for part in parts]
            there = np.flatnonzero(shown[row, :, area])
            for roi in there[np.argsort(-np.abs(own[0][there]), kind="stable")]:
                further = (explanation.pattern[row, roi, area], explanation.p[row, roi, area])
                values: list[float | None] = [*(float(part[roi]) for part in own), *further]
                yield (contrast.label, _name(area), _name(roi)), values
            rest = ~shown[row, :, area]
            for name, which in ((OTHERS, rest), (ALL, np.ones_like(rest))):
                sums = [float(part[which].sum()) for part in own]
                yield (contrast.label, _name(area), name), [*sums, None, None]


def _name(roi: int | np.integer[Any]) -> str:
    return f"roi{roi + 1:02d}"


def _sidecar(bundle: ModelBundle) -> dict[str, Any]:
    support = bundle.support
    assert support is not None  # else nothing was explained
    form = bundle.card.part.connectome
    rows = form.one_set(bundle.rois)
    named = [name for name, own in form.set_rows(bundle.rois).items() if own == rows]
    labels = support.areas.labels
    sizes = np.bincount(labels[labels >= 0], minlength=support.areas.number).tolist()
    areas: dict[str, dict[str, Any]] = {
        _name(area): {"Places": size} for area, size in enumerate(sizes)
    }
    for area, point in enumerate(_points(bundle, support.peaks)):
        areas[_name(area)]["PeakMm"] = point
    return {
        "Description": "ROIs whose columns of the connectome contribute to the prediction that "
        "differs from the training people's mean: a row a contrast, area and ROI. Shown are "
        "contributions of one sign in both halves of rest and in all of it, with p below "
        f"{LEVEL}; areas without any have no rows.{_AMPLITUDE * bundle.reads_amplitude}",
        "Method": _SUM if support.mean is None else _PATH,
        "Synthetic": True,
        "Set": named[0] or "the model's ROI maps",
        "Areas": areas,
        "TrainingParticipants": bundle.card.training.participants,
        **(bundle.metadata if bundle.card.part.cifti else bundle.grid.metadata),
        **{name: {"Description": text} for name, text in _COLUMNS.items()},
    }


def _points(bundle: ModelBundle, places: NDArray[np.integer[Any]]) -> list[list[float]]:
    """Return places in mm; nothing where they have names alone."""
    if isinstance(bundle.places, ListedPlaces | ParcelPlaces):
        return []
    found: list[list[float]] = np.round(bundle.places.points[places], 1).tolist()
    return found


@dataclass(frozen=True)
class RowOnPage:
    """A contribution on the page."""

    contrast: str
    area: str  # with its peak, where places have points
    deviation: str
    roi: str
    contribution: str
    pattern: str
    p: str


@dataclass(frozen=True)
class ExplanationOnPage:
    """The contributions of an average."""

    title: str
    rows: tuple[RowOnPage, ...]
    words: str  # on what is shown, and what is not
    units: str


def draw_explanation(
    dataset: DerivativeDataset, files: ParticipantFiles, folder: Path
) -> Section | None:
    """Show what contributes to a participant's averages of maps; None where nothing was written.

    Parameters are those of `draw_sets`; nothing is drawn into the folder.
    """
    averages = [found for made in files.averages if (found := _on_page(made)) is not None]
    if not averages:
        return None
    return Section(
        template="explanation.html",
        links=((EXPLANATION, "Differences"),),
        facts={"averages": averages},
    )


def _whose(path: Path) -> dict[str, str]:
    """Return the entities of an average, of the name of one of its files."""
    return {k: v for k, v in parse_name(path.name).entities if k not in ("contrast", "desc")}


def _on_page(made: AverageFiles) -> ExplanationOnPage | None:
    maps = made.maps[0].path
    wanted = _whose(maps)
    # Names are compared, not built: those of foreign folders may be no valid ones.
    there = maps.parent.glob(f"*_desc-{EXPLANATION}_*.tsv")
    path = next((path for path in sorted(there) if _whose(path) == wanted), None)
    if path is None:
        return None
    sidecar = read_json(path.with_suffix(".json"))
    areas = sidecar.get("Areas")
    groups = []
    for (label, area), rows in groupby(
        read_rows(path), lambda row: (row.get("contrast") or "", row.get("area") or "")
    ):
        of_area = list(rows)
        total = next((_value(row) for row in of_area if row.get("roi") == ALL), float("nan"))
        groups += [
            (row, label, _where(area, areas), total)
            for row in of_area
            if row.get("roi") not in (OTHERS, ALL)
        ]
    # The largest of all contrasts first.
    groups.sort(key=lambda group: -abs(_value(group[0])))
    people = counted(len({label for _, label, *_ in groups}), "contrast")
    words = f"{counted(len(groups), 'contribution')} in {people}" if groups else ""
    if groups[_ROWS:]:
        words += f"; the {_ROWS} largest are here, all of them in {path.name}"
    if words and isinstance(method := sidecar.get("Method"), str):
        words += f". Contributions are {method}"
    return ExplanationOnPage(
        title=made.title,
        rows=tuple(
            RowOnPage(
                contrast=label,
                area=where,
                deviation=_signed(total),
                roi=(row.get("roi") or "").replace("roi", "ROI "),
                contribution=_signed(_value(row)),
                pattern=_signed(_value(row, "pattern")),
                p=figure(_value(row, "p")),
            )
            for row, label, where, total in groups[:_ROWS]
        ),
        words=words,
        units=str(made.maps[0].sidecar.get("Units") or "").partition(" (")[0],
    )


def _where(area: str, areas: object) -> str:
    """Name an area, with the peak of its ROI map where it is known."""
    facts = areas.get(area) if isinstance(areas, dict) else None
    peak = facts.get("PeakMm") if isinstance(facts, dict) else None
    text = area.replace("roi", "ROI ")
    if not isinstance(peak, list) or len(peak) != 3:
        return text
    return f"{text} ({', '.join(figure(float(mm), 0) for mm in peak)})"


def _value(row: Mapping[str, str], name: str = "contribution") -> float:
    value = number(row.get(name))
    return float("nan") if value is None else value


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + figure(value)
