"""How contrast maps are presented: README, methods, columns, panels and lines of pages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import PENALTY
from bids_dtg.connectome.quality import read_metrics
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.bundle.registry import SERIN
from bids_dtg.contrasts.half_width import LEVEL
from bids_dtg.contrasts.panels.asymmetry import draw_sides
from bids_dtg.contrasts.panels.gallery import draw_averages
from bids_dtg.contrasts.panels.run import PANELS
from bids_dtg.files.derivatives import DatasetWords, DerivativeDataset
from bids_dtg.files.text import read_packaged
from bids_dtg.inputs.run import PARCELS
from bids_dtg.notices import counted
from bids_dtg.participants.origin import WHY_MODEL
from bids_dtg.report.contents import MapFile, ParticipantFiles, RunFiles
from bids_dtg.report.flags import (
    Flag,
    model_name,
    not_for_science,
    trained_on,
    training_people,
)
from bids_dtg.report.methods import MethodsWords, with_work
from bids_dtg.report.page import Section, sentences
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import OutputOptions
from bids_dtg.stats.verdict import FEWEST
from bids_dtg.version import AUTHORS, __version__

_NO_VOLUME = (
    "The run was read as parcels. It holds no brain volume, so there are no figures of its "
    "registration and coverage."
)
_AT_VERTICES = (
    "The run was read at the vertices of the cortex, as parcels, so there is no figure of its "
    "coverage."
)
# Keys of sentences in sidecars.
_NOTES = (
    WHY_MODEL,
    "IntervalNote",
    "CleaningNote",
    "AcquisitionNote",
    "DegreesOfFreedomNote",
)
_NO_INTERVALS = "The model has no half-widths, so its maps have no intervals"
# Its own columns of the quality table, with metrics that only the verdict on a run reads.
_METRICS = read_metrics(__package__)
MAPS = _METRICS["maps"]
_WORDS: dict[str, Any] = tomllib.loads(read_packaged(__package__, "methods.toml"))
_DATASET = DatasetWords(
    name="Synthetic task-activation maps from resting-state fMRI (bids_dtg)",
    citation=_WORDS["citation"].format(
        authors=", ".join(AUTHORS), version=__version__, paper=SERIN
    ),
    readme="",
    workflow="contrasts",
)


def dataset_words(card: ModelCard[Any]) -> DatasetWords:
    """Return the description of an output of maps by a model, with its README."""
    warnings = "" if card.for_science else "\nThis model is NOT FOR SCIENCE.\n"
    readme = read_packaged(__package__, "readme.txt").format(
        model=card.title,
        kind=KINDS[card.kind].title,
        warnings=warnings + (f"\n{card.notice}\n" if card.notice else ""),
        files=_WORDS["files_of_parcels" if card.part.parcels else "map_files"],
    )
    return replace(_DATASET, readme=readme)


def instead_of_default(name: str, default: str) -> str:
    """Say why a model was used that nobody named, for pages, sidecars and methods texts.

    Examples
    --------
    >>> instead_of_default("b", "a").partition(",")[0]
    'The model b was used because --model was not given and a'
    """
    return str(_WORDS["instead"]).format(name=name, default=default)


def methods_of(bundle: ModelBundle, outputs: OutputOptions) -> MethodsWords:
    """Describe for the methods section how maps were made from cleaned runs.

    Parameters
    ----------
    bundle
        The model that predicted them.
    outputs
        Which runs were averaged, and the atlases.
    """
    card, kind = bundle.card, bundle.kind
    words_of_kinds = _WORDS["kinds"]
    words = words_of_kinds.get(kind.name, words_of_kinds["others"])
    method = words["method"].format(kind=kind.words)
    place = "parcel" if card.part.parcels else "voxel"
    owner = words["owner"].format(title=kind.title)
    computed = _computed(bundle, outputs) + _corrected(bundle, owner)
    widths = bundle.half_widths
    if widths is None:
        computed += _WORDS["no_intervals"]
    else:
        computed += _WORDS["intervals"].format(
            level=LEVEL,
            place=place,
            people=counted(widths.people, "participant"),
            segments=counted(widths.segments, "segment"),
            in_turn="left out of the fit and " * widths.left_out_in_turn,
        )
    if outputs.atlases:
        atlases = " and ".join(map(with_work, outputs.atlases))
        computed += _WORDS["parcels"].format(atlases=atlases)
    model = words["model"].format(kind=kind.words, place=place)
    about = f"The model is {model} {_trained(card.training)}"
    text = f"{method} {about} {computed}"
    works = _WORDS["references"]
    references = "".join(works[name] for name in works if f"{name} " in text)
    last_word = card.citation.split()[-1:]
    if last_word and last_word[0] not in references:
        references += f"- {card.citation} (the model)\n"
    return MethodsWords(
        opening=_WORDS["made"],
        method=method,
        computed=computed.strip(),
        caution=_WORDS["caution"],
        references=f"## References\n\n{references}",
        model=about,
        on_template=_WORDS["on_template"],
    )


def _computed(bundle: ModelBundle, outputs: OutputOptions) -> str:
    """Describe how connectomes and maps are computed, and what is averaged."""
    part, form = bundle.part, bundle.part.connectome
    places = "parcels" if part.parcels else "grey-matter voxels"
    where = "all parcels" if part.parcels else "the brain"
    connected = _WORDS["marginal"]
    sets = ""
    if form.joint:
        where = _WORDS["standardised"].format(places=places)
        connected = _WORDS["partial"]
    if form.sets:
        *first, last = map(str, form.sets)
        sets = _WORDS["sets"].format(first=", ".join(first), last=last)
    unit = "segment" if part.segment_seconds < SECONDS_PER_RUN else "run"
    if part.joins_runs:
        unit = "session"
    over = _WORDS["over"][unit][outputs.averaging]
    connected = connected.format(
        number=bundle.places.number, places=places, penalty=PENALTY
    )
    return str(_WORDS["computed"]).format(
        rois=bundle.rois,
        contrasts=len(bundle.contrasts),
        sets=sets,
        where=where,
        connected=connected,
        cut=_WORDS[f"cut_{unit}"].format(seconds=part.segment_seconds),
        averaged=_WORDS["averaged"].format(over=over) if over else "",
    )


def _corrected(bundle: ModelBundle, owner: str) -> str:
    """Describe how maps are re-centred; empty if they are not."""
    recentring = bundle.part.recentring
    if recentring is None or bundle.correction is None:
        return ""
    people, key = "participant", "recentred"
    if recentring.left_out_in_turn:
        people, key = "training participant", "recentred_in_turn"
    number = counted(recentring.participants, people)
    return str(_WORDS[key]).format(owner=owner, people=number)


def _trained(training: TrainingData) -> str:
    """Describe a model's training data, if the bundle names them."""
    if training.data == "unknown":
        return "whose bundle does not name its training data."
    facts = []
    if training.participants:
        facts.append(counted(training.participants, "participant"))
    if training.repetition_time_s:
        facts.append(f"TR {training.repetition_time_s:g} s")
    if training.cleaning != "unknown":
        facts.append(f"cleaning: {training.cleaning}")
    return f"trained on {training.data}" + (f" ({'; '.join(facts)})." if facts else ".")


def missing(run: RunFiles) -> str | None:
    """Say why a run read as parcels lacks some panels; None for other runs."""
    if run.facts.get("Surface"):
        return _AT_VERTICES
    return _NO_VOLUME if run.facts.get("Space") == PARCELS else None


def subtitle(files: ParticipantFiles) -> str:
    """Summarise a participant's results in one sentence."""
    if not files.averages:
        return "No maps."
    seconds = sum(
        average.common.get("SecondsOfRest") or 0.0 for average in files.averages
    )
    return sentences(
        "contrasts/maps_subtitle.html",
        line="results",
        maps=sum(len(average.maps) for average in files.averages),
        averages=sum(bool(average.maps) for average in files.averages),
        minutes=seconds / 60,
        runs=len(files.runs),
    )


def model_line(files: ParticipantFiles) -> str:
    """Name the model, its kind, and how many people it was trained on."""
    if not files.averages:
        return ""
    common = files.averages[0].common
    kind = str(common.get("ModelKind") or "")
    return sentences(
        "contrasts/maps_subtitle.html",
        line="",
        model=model_name(common),
        kind=KINDS[kind].title if kind in KINDS else kind,
        people=training_people(common),
    )


def same_for_all(maps: Sequence[MapFile]) -> Iterator[str]:
    """Yield a sentence that names the maps that are the same for everybody, if there are any."""
    same = [shown.label for shown in maps if shown.sidecar.get("Individual") is False]
    if same:
        yield (
            f"{len(same)} of {counted(maps, 'map')} are the same for everybody, as rest did "
            f"not predict individual differences in these contrasts: {', '.join(same)}"
        )


def few_people(sidecar: Mapping[str, Any]) -> str:
    """Return a sentence if a map's model was trained on too few people to be judged, else "".

    Examples
    --------
    >>> few_people({"ModelTraining": {"Participants": 5}}).partition(",")[0]
    'No verdict: the model was trained on 5 participants'
    >>> few_people({"ModelTraining": {"Participants": 958}})
    ''
    """
    people = trained_on(sidecar)
    if people is None or people >= FEWEST:
        return ""
    return (
        f"No verdict: the model was trained on {counted(people, 'participant')}, too few to hold "
        "some out and judge it on them"
    )


def notes_on_averages(files: ParticipantFiles) -> Iterator[Flag]:
    """Yield flags on the model, on the cleaning of the runs and on the uncertainty of maps."""
    for average in files.averages:
        sidecar = average.common
        if sidecar.get("NotForScience"):
            yield Flag("warning", not_for_science(sidecar))
        elif sidecar.get("ModelNotice"):
            yield Flag("note", sidecar["ModelNotice"])
        for text in same_for_all(average.maps):
            yield Flag("warning", text, average.title)
        few = few_people(sidecar)
        if few:
            yield Flag("warning", few)
        if sidecar.get("Intervals") is False:
            yield Flag("note", _NO_INTERVALS, average.title)
        for key in _NOTES:
            if sidecar.get(key):
                yield Flag("note", sidecar[key], average.title)
        for run in sidecar.get("Runs", ()):
            for note in run.get("Notes", ()):
                yield Flag("note", note, run["Run"])


def draw_sections(
    dataset: DerivativeDataset, files: ParticipantFiles, folder: Path
) -> list[Section]:
    """Draw a participant's maps, and left minus right, as `draw_averages` and `draw_sides` do."""
    return [*draw_averages(dataset, files, folder), *draw_sides(files)]


PRESENTATION = Presentation(
    dataset=_DATASET,
    title="Synthetic task-activation maps",
    about="Predicted from resting-state fMRI, not measured.",
    methods=methods_of,
    subtitle=subtitle,
    columns=MAPS,
    panels=PANELS,
    sections=draw_sections,
    group_columns=_METRICS["maps_of_group"],
    notes=notes_on_averages,
    model=model_line,
    missing=missing,
)
