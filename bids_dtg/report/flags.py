"""What a reader must be told before looking at a participant's maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bids_dtg.connectome.range.judge import CHECKS
from bids_dtg.connectome.range.limits import LIMITS
from bids_dtg.report.contents import ParticipantFiles, RunFiles, SetFiles

Level = Literal["problem", "warning", "note", "good"]
_ORDER: tuple[Level, ...] = ("problem", "warning", "note", "good")
_BY_STEPS: tuple[Level | None, ...] = (None, "warning", "problem")  # beyond none, one, two limits


@dataclass(frozen=True)
class Flag:
    """One sentence for the summary."""

    level: Level  # how much it matters
    text: str  # what was found and what it means
    of: str = ""  # run or set it is about; empty for the whole participant


# What a figure beyond its limit means; {value} stands for it. docs/reports.md lists the limits.
FLAGGED: Mapping[str, str] = {
    "minutes_kept": "{value:.1f} minutes of rest are left",
    "fd_mean": "Mean framewise displacement is {value:.2f} mm",
    "coverage": "{value:.1%} of the model's grey matter has signal",
    "roi_coverage_min": "An ROI has only {value:.0%} of its map on signal",
    "tsnr_median": "Temporal signal-to-noise is {value:.0f}",
    "connectome_reliability": "The connectomes of the two halves of the run agree with r "
    "{value:.2f}",
}
# What the verdicts of the program's own judgement of a run mean here.
_VERDICTS: Mapping[str, Level] = {"unusual": "warning", "outside": "problem"}


def number(text: str | None) -> float | None:
    """Read a cell of a table; None for n/a and what is no number."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value else None


def level_of(figure: str, value: float) -> Level | None:
    """Return the level of a value by the table of limits; None where nothing is wrong with it."""
    return _BY_STEPS[LIMITS[figure].steps(value, included=True)]


def flags_of(files: ParticipantFiles, failures: Mapping[str, str]) -> tuple[Flag, ...]:
    """Collect the flags of a participant, the worst first.

    Parameters
    ----------
    files
        What the output holds.
    failures
        What failed (set, or what was being done) and the message.
    """
    flags = [Flag("problem", message, stage) for stage, message in failures.items()]
    flags += [flag for one in files.sets for flag in _of_set(one)]
    flags += [flag for run in files.runs for flag in _of_run(run)]
    if not any(flag.level in ("problem", "warning") for flag in flags) and files.sets:
        flags.append(Flag("good", "Every quality figure is within its usual range"))
    return sorted_flags(flags)


def sorted_flags(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return flags once each, the worst first."""
    return tuple(sorted(dict.fromkeys(flags), key=lambda flag: _ORDER.index(flag.level)))


def _of_run(run: RunFiles) -> Iterator[Flag]:
    for column, text in FLAGGED.items():
        value = number(run.quality.get(column))
        # Where the run was judged as a whole, its coverage is among the reasons.
        judged = column in CHECKS and "range" in run.quality
        if value is not None and not judged and (level := level_of(column, value)):
            yield Flag(level, text.format(value=value), run.title)
    verdict = run.quality.get("range") or ""
    if verdict in _VERDICTS:
        reasons = run.quality.get("range_reasons") or ""
        text = f"The model is not made for such a run ({verdict}): {reasons}"
        yield Flag(_VERDICTS[verdict], text, run.title)
    frames, kept = (number(run.quality.get(name)) for name in ("frames", "frames_kept"))
    if (
        frames
        and kept is not None
        and (few := _BY_STEPS[LIMITS["kept_share"].steps(kept / frames)])
    ):
        yield Flag(few, f"{kept / frames:.0%} of the frames were kept", run.title)


def _of_set(one: SetFiles) -> Iterator[Flag]:
    sidecar = one.common
    if sidecar.get("NotForScience"):
        yield Flag("warning", str(sidecar.get("ModelNotice") or "The model is not for science"))
    elif notice := sidecar.get("ModelNotice"):
        yield Flag("note", str(notice))
    if note := sidecar.get("CleaningNote"):
        yield Flag("note", str(note), one.title)
    for run, reason in one.excluded.items():
        yield Flag("warning", f"{run} was left out. {reason}", one.title)
    if not any(one.maps[0].overlays):
        yield Flag(
            "note",
            "The maps carry no uncertainty: there was one segment of rest, and the model has no "
            "calibration",
            one.title,
        )
    elif sidecar.get("Calibrated") is False:
        yield Flag(
            "note", "The model carries no calibration: its maps have no intervals", one.title
        )
    for run in sidecar.get("Runs") or ():
        for note in run.get("Notes") or () if isinstance(run, dict) else ():
            yield Flag("note", str(note), str(run.get("Run") or ""))
