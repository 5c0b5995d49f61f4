"""The analysis `figure`: chosen contrasts of participants, or their mean over people, for print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_dtg.cohort.people import participants_asked, places_of, read_map
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.extras import require
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import parse_name
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.inputs.statmaps import chosen_contrasts
from bids_dtg.notices import counted, say, show
from bids_dtg.participants.reports import existing_output
from bids_dtg.report.contents import HALF_WIDTH, AverageFiles, MapFile, find_participant
from bids_dtg.settings import Settings
from bids_dtg.statistics.figure.drawing import FORMATS, MapRow, draw_figure

_MOST = 8  # contrasts in a figure: they fit on a page
_MEAN = "groupMean"  # value of desc- of the mean maps of the group level
_SUFFIX = "figure"
_CAN_WRITE = (f"*_{_SUFFIX}",)


def run_figure(settings: Settings) -> int:
    """Draw the chosen contrasts of each participant asked for, or of all; return 0 failures.

    Parameters
    ----------
    settings
        Options of the call: ``--contrast``, and ``--participant-label``, without which the mean
        maps of the group level are drawn.

    Raises
    ------
    SettingsError
        No contrast, or too many, or one that there is not, or matplotlib is missing.
    DatasetError
        The output folder holds no such maps.
    """
    require("--analysis figure", "matplotlib", extra="report")
    if not settings.modelling.contrast:
        raise SettingsError(
            "--analysis figure was given without --contrast",
            expected="the contrasts to draw, by their labels or tasks, as --contrast language",
        )
    output = existing_output(settings.inputs.output_dir)
    figures = [_chosen(figure, settings) for figure in _found(settings, output)]
    if settings.behaviour.dry_run:
        for figure in figures:
            show(f"would draw {counted(len(figure.maps), 'contrast')} of {figure.title}")
        return 0
    results = ResultFolder.of(settings, output, *_CAN_WRITE)
    with results.begun():
        for figure in figures:
            _write(figure, results)
    return 0


@dataclass(frozen=True)
class _Figure:
    """Maps that are drawn together."""

    title: str  # beginning of the file's name
    whose: str  # in words
    maps: tuple[MapFile, ...]


def _found(settings: Settings, output: DerivativeDataset) -> Iterator[_Figure]:
    """Yield the maps of each average of the participants asked for, or those of the group."""
    asked = settings.inputs.participant_label
    if not asked:
        yield _of_group(output)
        return
    for label in participants_asked(asked, output):
        averages = find_participant(output, label).averages
        if not averages:
            raise DatasetError(
                f"sub-{label} has no maps in {output.root}",
                remedy="run the participant level with --write maps",
            )
        for made in averages:
            yield _Figure(made.title, f"sub-{label} ({made.title})", made.maps)


def _of_group(output: DerivativeDataset) -> _Figure:
    paths = sorted(output.path("group").glob(f"*_desc-{_MEAN}_statmap.nii.gz"))
    if not paths:
        raise DatasetError(
            f"{output.root} has no mean maps over participants",
            expected="--participant-label for the maps of one, or the mean maps of the group level",
            remedy="call the group level without --analysis first",
        )
    maps = tuple(
        MapFile(parse_name(path.name).get("contrast") or "", path, read_inherited(path), {})
        for path in paths
    )
    people = maps[0].sidecar.get("NParticipants")
    whose = f"mean over {counted(people, 'participant')}" if isinstance(people, int) else "mean"
    return _Figure(f"desc-{_MEAN}", whose, maps)


def _chosen(figure: _Figure, settings: Settings) -> _Figure:
    """Keep the maps of the contrasts asked for, in the order in which they were named."""
    by_label = {found.label: found for found in figure.maps}
    tasks = {label: found.task for label, found in by_label.items()}
    labels = chosen_contrasts(settings.modelling.contrast, tasks)
    if len(labels) > _MOST:
        raise SettingsError(
            f"--contrast names {len(labels)} contrasts",
            expected=f"{_MOST} at most, which fit on a page; call once for each figure",
        )
    return _Figure(figure.title, figure.whose, tuple(by_label[label] for label in labels))


def _write(figure: _Figure, results: ResultFolder) -> None:
    made = AverageFiles(figure.title, figure.maps, (), {}, {})
    places = places_of(made)
    rows, level = [], None
    for found in figure.maps:
        width = next((d for d in found.overlays if d.startswith(HALF_WIDTH)), None)
        values = read_map(found.path, places)
        half = None if width is None else read_map(found.overlays[width], places)
        level = width.removeprefix(HALF_WIDTH) if width else level
        rows.append(MapRow(_row_title(found), np.nan_to_num(values), half))
    units = str(figure.maps[0].sidecar.get("Units") or "arbitrary")
    sidecar = figure.maps[0].sidecar
    note = str(sidecar.get("ModelNotice") or "not for science")
    drawn = draw_figure(rows, places, units, note if sidecar.get("NotForScience") else "")
    for kind in FORMATS:
        path = results.add(f"{figure.title}_{_SUFFIX}.{kind}")
        write_atomic(path, drawn[kind])
        say(f"figure of {figure.whose}: {path}")
    results.json(f"{figure.title}_{_SUFFIX}", _facts(figure, level, results.output.root))


def _row_title(found: MapFile) -> str:
    return f"{found.task}: {found.name}" if found.task else found.name


def _facts(figure: _Figure, level: str | None, root: Path) -> Mapping[str, object]:
    """Return what a legend needs: whose maps, the scale, the line, the surface."""
    line = (
        f"black lines surround voxels whose value exceeds the half-width of its {level} % "
        "prediction interval. "
        if level
        else ""
    )
    sidecar = figure.maps[0].sidecar
    notice = {"Notice": sidecar["ModelNotice"]} if sidecar.get("ModelNotice") else {}
    return {
        "Description": f"Predicted contrast maps, {figure.whose}: axial slices (z in mm, the "
        f"person's left on the left), and fsaverage5. {line}One colour scale for all: values "
        "below a tenth of its end are not drawn, those beyond it have its last colour. Predicted "
        "from resting-state fMRI, not measured",
        "Contrasts": [found.label for found in figure.maps],
        "Sources": [f"bids::{found.path.relative_to(root).as_posix()}" for found in figure.maps],
        "Surfaces": "a template's midthickness surfaces (Wu et al. 2018): no one's own folds",
        **notice,
    }
