"""The report of one participant, made from what the output folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.connectome.range.limits import LIMITS
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import ParticipantFiles, RunFiles, SetFiles, find_participant
from bids_dtg.report.flags import Level, flags_of, level_of, number
from bids_dtg.report.methods import find_methods, parse_markdown
from bids_dtg.report.pages.page import render
from bids_dtg.report.panels.maps import Gallery, GalleryDrawer, slice_text
from bids_dtg.report.panels.run import RunDrawer, RunPanels
from bids_dtg.report.viewer import remove_others, viewer_data

_DIGITS_SHOWN = 12  # of hashes


@dataclass(frozen=True)
class KeyFigure:
    """A number of the summary."""

    title: str
    value: str
    unit: str = ""
    level: Level | None = None


@dataclass(frozen=True)
class SetOnPage:
    """A set of maps on the page."""

    title: str
    anchor: str
    lead: str
    groups: Sequence[Any]  # TaskCards


def report_path(dataset: DerivativeDataset, label: str) -> Path:
    """Return where a participant's report is."""
    return dataset.path(f"sub-{label}.html")


def write_participant_report(
    dataset: DerivativeDataset, label: str, failures: Mapping[str, str]
) -> Path:
    """Make the report of a participant.

    Parameters
    ----------
    dataset
        The output folder.
    label
        Without sub-.
    failures
        What failed, and how.

    Raises
    ------
    RunError
        An image of the output cannot be read.
    OutputError
        A file cannot be written.
    """
    files = find_participant(dataset, label)
    folder = dataset.root / f"sub-{label}" / "figures"
    galleries = _galleries(dataset, files, folder)
    drawer = RunDrawer(dataset, folder)
    thresholds = _fd_thresholds(files)
    runs = [
        drawer.draw(run, thresholds.get(run.title), f"run-{position}")
        for position, run in enumerate(files.runs, 1)
    ]
    sets = [
        SetOnPage(one.title, f"maps-{position}", _lead(one), gallery.groups)
        for position, (one, gallery) in enumerate(zip(files.sets, galleries, strict=True), 1)
    ]
    records = [one.record for one in files.sets]
    methods = find_methods(dataset, records) if records else ""
    page = render(
        "participant.html",
        title=f"sub-{label}: bids_dtg",
        sections=_sections(sets, runs, bool(methods)),
        label=label,
        subtitle=_subtitle(files),
        flags=flags_of(files, failures),
        figures=_key_figures(files.runs),
        sets=sets,
        runs=runs,
        methods={"text": methods, "blocks": parse_markdown(methods)} if methods else None,
        provenance=[_provenance(one) for one in files.sets],
        failures=list(failures.items()),
        viewer_data=viewer_data(
            [gallery.viewer_set for gallery in galleries],
            [one for gallery in galleries for one in gallery.viewer_maps],
            galleries[0].backdrop,
        )
        if galleries
        else None,
    )
    path = report_path(dataset, label)
    write_text(path, page)
    written = [path for gallery in galleries for path in gallery.files]
    remove_others(folder, [*written, *drawer.files])
    return path


def _galleries(dataset: DerivativeDataset, files: ParticipantFiles, folder: Path) -> list[Gallery]:
    galleries: list[Gallery] = []
    for position, one in enumerate(files.sets):
        first = sum(len(gallery.viewer_maps) for gallery in galleries)
        galleries.append(
            GalleryDrawer(dataset, folder, one.title, first=first, number_of_set=position).draw(
                one.maps
            )
        )
    return galleries


def _sections(
    sets: Sequence[SetOnPage], runs: Sequence[RunPanels], methods: bool
) -> list[tuple[str, str]]:
    several = len(runs) > 1
    links = [("summary", "Summary")]
    links += [(one.anchor, "Maps" if len(sets) == 1 else one.title) for one in sets[:1]]
    if runs:
        first = runs[0]
        there = {
            "registration": first.registration,
            "motion": first.traces,
            "coverage": first.coverage,
            "connectome": first.relmat,
            "reliability": first.halves,
        }
        links += [("run-1", "Runs")] if several else []
        links += [] if several else [(k, k.capitalize()) for k, shown in there.items() if shown]
    links += [("methods", "Methods")] if methods else []
    links += [("provenance", "Provenance")] if sets else []
    return [*links, ("errors", "Errors")]


def _subtitle(files: ParticipantFiles) -> str:
    if not files.sets:
        return "No maps."
    common = files.sets[0].common
    count = sum(len(one.maps) for one in files.sets)
    sets = f" in {len(files.sets)} sets" if len(files.sets) > 1 else ""
    return (
        f"{count} synthetic contrast maps{sets} by the model {common.get('ModelName', '')} "
        f"{common.get('ModelVersion', '')} from {_runs(len(files.runs))}"
    )


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)} of rest"


def _lead(one: SetFiles) -> str:
    seconds = number(str(one.common.get("SecondsOfRest")))
    segments = one.common.get("NSegments")
    parts = f" in {segments} segment{'s' * (segments != 1)}" if isinstance(segments, int) else ""
    rest = f"From {seconds / 60:.1f} minutes of rest{parts}. " if seconds else ""
    return f"{rest}Maps of a task share a colour scale. {slice_text()}"


def _key_figures(runs: Sequence[RunFiles]) -> list[KeyFigure]:
    def values(column: str) -> list[float]:
        found = (number(run.quality.get(column)) for run in runs)
        return [value for value in found if value is not None]

    def worst(column: str, title: str, layout: str, unit: str = "") -> KeyFigure | None:
        found = values(column)
        if not found:
            return None
        low_is_bad = LIMITS[column].low_is_bad
        value = min(found) if low_is_bad else max(found)
        several = (", lowest" if low_is_bad else ", highest") if len(found) > 1 else ""
        text = layout.format(value)
        return KeyFigure(title + several, text, unit, level_of(column, value))

    frames, kept = sum(values("frames")), sum(values("frames_kept"))
    minutes = sum(values("minutes_kept"))
    told = [
        KeyFigure("Rest that was used", f"{minutes:.1f}", "min", level_of("minutes_kept", minutes))
        if minutes
        else None,
        KeyFigure("Frames kept", f"{kept / frames:.0%}", f"of {frames:.0f}") if frames else None,
        worst("fd_mean", "Mean framewise displacement", "{:.2f}", "mm"),
        worst("coverage", "Grey matter with signal", "{:.1%}"),
        worst("tsnr_median", "Temporal signal-to-noise", "{:.0f}"),
        worst("connectome_reliability", "Agreement of halves", "{:.2f}", "r"),
    ]
    return [figure for figure in told if figure]


def _fd_thresholds(files: ParticipantFiles) -> dict[str, float]:
    found = {}
    for one in files.sets:
        for run in one.common.get("Runs") or ():
            facts = run.get("Confounds") if isinstance(run, dict) else None
            value = facts.get("FdThreshold") if isinstance(facts, dict) else None
            if isinstance(value, int | float):
                found[str(run.get("Run"))] = float(value)
    return found


def _provenance(one: SetFiles) -> dict[str, Any]:
    common, record = one.common, one.record
    made = common.get("GeneratedBy")
    program = f"{made.get('Name')} {made.get('Version')}" if isinstance(made, dict) else ""
    facts = {
        "Maps": one.title,
        "Completed": record.get("Completed"),
        "Program": program,
        "Model": f"{common.get('ModelName', '')} {common.get('ModelVersion', '')}".strip(),
        "Model, SHA-256": common.get("ModelSHA256"),
        "Space": common.get("Resolution"),
        "Runs": ", ".join(one.runs),
        "Left out": ", ".join(one.excluded),
        "Cleaning": common.get("DenoiseStrategy"),
    }
    inputs = record.get("Inputs")
    options = record.get("Options")
    return {
        "title": one.title,
        "facts": [(name, value) for name, value in facts.items() if value],
        "options": sorted(options.items()) if isinstance(options, dict) else [],
        "inputs": [
            (name, value.get("size"), str(value.get("ends_sha256"))[:_DIGITS_SHOWN])
            for name, value in (inputs.items() if isinstance(inputs, dict) else ())
            if isinstance(value, dict)
        ],
    }
