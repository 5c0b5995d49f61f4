"""Flags: what a reader must know before looking at a participant's results."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bids_dtg.bundles.card import TrainingData
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.notices import NO_MASK, SAME_SIDES, TEMPLATE_SURFACE, counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.quality import METRICS

Level = Literal["failed", "problem", "warning", "note", "good"]
LEVELS: tuple[Level, ...] = ("failed", "problem", "warning", "good", "note")
# Beyond 0, 1 or 2 limits.
_BY_STEPS: tuple[Level | None, ...] = (None, "warning", "problem")
# Levels of the verdicts on whether a run resembles the model's training data.
VERDICTS: Mapping[str, Level] = {"unusual": "warning", "outside": "problem"}
# Levels of notes on runs.
_FLAGGED: Mapping[str, Level] = {NO_MASK: "warning", SAME_SIDES: "problem"}
_LONGEST_TEXT = 300
_NOT_FOR_SCIENCE = "The model is not for science"


@dataclass(frozen=True)
class Flag:
    """One sentence for the summary."""

    level: Level  # how much it matters
    text: str  # what was found and what it means
    of: str = ""  # the run or average that it is about; empty for the whole participant


def level_of(metric: QualityMetric, value: float) -> Level | None:
    """Return the level of a quality metric's value; None where it is within its limits."""
    return _BY_STEPS[metric.steps(value)]


def flags_of(
    files: ParticipantFiles,
    flags_of_runs: Iterable[Flag],
    flags_of_workflow: Iterable[Flag],
) -> tuple[Flag, ...]:
    """Collect the flags of a participant, the worst first.

    Parameters
    ----------
    files
        Files of the participant in the output.
    flags_of_runs
        Flags of the participant's runs, from `run_flags`.
    flags_of_workflow
        Flags that only the workflow knows, from its presentation's `notes`.
    """
    flags = [*flags_of_runs, *flags_of_workflow]
    anything = bool(files.averages) or any(run.facts for run in files.runs)
    if not any(flag.level in LEVELS[:3] for flag in flags) and anything:
        usual = "quality metrics are within their usual ranges"
        verdict = Flag("good", f"All {usual}")
        if any(run.quality and run.metric("fd_mean") is None for run in files.runs):
            text = f"Motion unknown: the input has no framewise displacement. All other {usual}"
            verdict = Flag("note", text)
        flags.insert(0, verdict)
    return sorted_flags(flags)


def run_flags(
    files: ParticipantFiles,
    failures: Mapping[str, str],
    columns: Sequence[QualityMetric],
) -> tuple[Flag, ...]:
    """Collect the flags of a participant's runs, without those of the model.

    Parameters
    ----------
    files
        Files of the participant in the output.
    failures
        Message of each failure, by average or stage.
    columns
        Columns of the quality tables.
    """
    flags = [Flag("failed", text, f"while {stage}") for stage, text in failures.items()]
    for average in files.averages:
        flags += left_out(average.common, average.title)
    for run in files.runs:
        flags += _flags_of_run(run, columns)
    return sorted_flags(flags)


def left_out(sidecar: Mapping[str, Any], title: str) -> Iterator[Flag]:
    """Yield a warning on each run that an average leaves out, with the reason."""
    for run, reason in sidecar.get("ExcludedRuns", {}).items():
        yield Flag("warning", f"{run} was left out. {reason}", title)


def flag_counts(flags: Sequence[Flag], model: str = "") -> dict[str, Any]:
    """Count the flags of a participant's runs, the worst first, for pages over all participants.

    `model` says why the model is not for science; it is empty if the model is.

    Examples
    --------
    >>> counts = flag_counts([Flag("problem", "Much motion"), Flag("warning", "Short")])
    >>> counts["level"], counts["in_words"], counts["worst"]
    ('problem', '1 problem, 1 warning', 'Much motion')
    """
    levels = [flag.level for flag in flags]
    numbers = {level: levels.count(level) for level in LEVELS[1:3]}
    words = [counted(number, word) for word, number in numbers.items() if number]
    if "failed" in levels:
        words.insert(0, "failed")
    return {
        "problems": numbers["problem"],
        "warnings": numbers["warning"],
        "level": levels[0] if flags else "good",
        "in_words": ", ".join(words),
        "worst": _shortened(flags[0].text) if flags else "",
        "model": textwrap.shorten(model, _LONGEST_TEXT),
    }


def _shortened(text: str) -> str:
    """Shorten a text, but keep what to do."""
    cause, mark, remedy = text.partition(" To do: ")
    to_do = textwrap.shorten(mark + remedy, _LONGEST_TEXT // 2)
    return f"{textwrap.shorten(cause, _LONGEST_TEXT - len(to_do))} {to_do}".strip()


def model_notice(files: ParticipantFiles) -> str:
    """Return why the model behind a participant's results is not for science; empty if it is."""
    facts = [average.common for average in files.averages]
    facts += [run.facts for run in (*files.combined, *files.runs)]
    return next((not_for_science(of) for of in facts if of.get("NotForScience")), "")


def not_for_science(sidecar: Mapping[str, Any]) -> str:
    """Return why the model or the data behind results are not for science."""
    return str(
        sidecar.get("ModelNotice") or sidecar.get("DataNotice") or _NOT_FOR_SCIENCE
    )


def sorted_flags(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return flags once each, at their worst level, the worst first."""
    unique: dict[tuple[str, str], Flag] = {}
    for flag in sorted(flags, key=lambda flag: LEVELS.index(flag.level)):
        unique.setdefault((flag.text, flag.of), flag)
    return tuple(unique.values())


def trained_on(sidecar: Mapping[str, Any]) -> int | None:
    """Return the number of people on whom a result's model was trained; None if unknown."""
    return sidecar.get("ModelTraining", {}).get("Participants")


def training_people(sidecar: Mapping[str, Any]) -> str:
    """Return how many people a result's model was trained on, real or simulated; "": unknown.

    Examples
    --------
    >>> training_people({"ModelTraining": {"Participants": 20, "Data": "HCP"}})
    '20 real participants'
    >>> training_people({"ModelTraining": {"Participants": 1, "Data": "SIMULATED people"}})
    '1 simulated participant'
    >>> training_people({"ModelTraining": {"Participants": 8, "Data": "unknown"}})
    '8 participants'
    """
    people = trained_on(sidecar)
    training = sidecar.get("ModelTraining", {})
    data = TrainingData(str(training.get("Data") or "unknown"))
    kind = ""
    if data.simulated:
        kind = "simulated "
    elif data.data != "unknown":
        kind = "real "
    return counted(people, f"{kind}participant") if people else ""


def training_sentence(facts: Mapping[str, Any]) -> str:
    """Return a sentence on how many people a model was fitted to; empty if unknown."""
    people = training_people(facts)
    return f"The model was fitted to {people}. " if people else ""


def model_name(facts: Mapping[str, Any]) -> str:
    """Return name and version of a model, from the sidecars of its results."""
    return f"{facts.get('ModelName') or ''} {facts.get('ModelVersion') or ''}".strip()


def notes_in_sidecars(run: RunFiles) -> Iterator[Flag]:
    """Yield the notices and notes in the sidecars of the results of a run or an average."""
    levels: dict[str, Level] = {"ModelNotice": "note", "CleaningNote": "warning"}
    for key, level in levels.items():
        if note := run.facts.get(key):
            yield Flag(level, str(note), run.title)
    for note in run.facts.get("Notes", ()):
        yield Flag("note", note, run.title)


def _flags_of_run(run: RunFiles, columns: Sequence[QualityMetric]) -> Iterator[Flag]:
    for column in columns:
        value = run.metric(column.name) if column.flag else None
        # Where the run was judged as a whole, the metrics with a reason are among the reasons.
        judged = column.reason and "training_distribution" in run.quality
        if value is not None and not judged and (level := level_of(column, value)):
            yield Flag(level, column.flagged(value), run.title)
    notes = run.facts.get("Notes", ())
    yield from (
        Flag(level, note, run.title)
        for note, level in _FLAGGED.items()
        if note in notes
    )
    for note in notes:
        if note.startswith(TEMPLATE_SURFACE):
            yield Flag("warning", note, run.title)
    verdict = run.quality.get("training_distribution") or ""
    if verdict in VERDICTS:
        reasons = run.quality.get("training_distribution_reasons") or ""
        text = f"The run differs from the model's training data ({verdict}): {reasons}"
        yield Flag(VERDICTS[verdict], text, run.title)
    frames = run.metric("frames")
    frames_kept = run.metric("frames_kept")
    if frames and frames_kept is not None:
        share = frames_kept / frames
        if level := level_of(METRICS["kept_share"], share):
            yield Flag(level, f"{share:.0%} of the frames were kept", run.title)
