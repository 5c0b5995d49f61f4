"""How long a frame of a run lasts: what its sidecar and its header state, compared."""

from __future__ import annotations

import math
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS, in_milliseconds
from bids_dtg.imaging.header import HeaderTime
from bids_dtg.inputs.dataset import writes_wrong_times

# A sidecar and a header that differ by more than this share do not describe one run.
_LARGEST_DIFFERENCE = 0.05
# What differs by more than rounding is noted.
_ROUNDING_SECONDS = 1e-3
# A number without a unit may be in any of these, as shares of a second.
_UNITS = (1.0, 1e-3, 1e-6)


def decide_repetition_time(
    bold: Path,
    header: HeaderTime,
    sidecar: Path | None,
    stated: float | None,
    root: Path | None = None,
) -> tuple[float, tuple[str, ...]]:
    """Decide the repetition time of a run by its sidecar and the header of its file.

    Parameters
    ----------
    bold
        The run's file, for messages.
    header
        What its header says of time.
    sidecar
        The sidecar that states the time, for messages; None where none does.
    stated
        RepetitionTime of that sidecar, in seconds; None where none states it.
    root
        The dataset whose program wrote the file; None where that is not known.

    Returns
    -------
    tr_seconds
        The sidecar's, or else the header's; above 0 and at most 20.
    notes
        Sentences on what was unusual.

    Raises
    ------
    RunError
        Neither states it, it is longer than 20 s, or the two differ by more than 5 %, other than
        by a mistake of the program that wrote the header.

    Examples
    --------
    >>> decide_repetition_time(Path("bold.nii.gz"), HeaderTime(800.0, "ms"), None, None)
    (0.8, ("No sidecar has a RepetitionTime: the header's (0.8 s) was used.",))
    """
    if stated is None:
        return _of_header(bold, header)
    if not 0 < stated <= LONGEST_TR_SECONDS:
        raise RunError(
            f"{sidecar or bold}: RepetitionTime is {stated:g}",
            expected=EXPECTED_TR,
            remedy=in_milliseconds(stated),
        )
    if header.seconds is None:
        return stated, (
            f"The header states no repetition time ({header}): the sidecar's ({stated:g} s) "
            "was used.",
        )
    stored = min(_readings(header), key=lambda seconds: abs(seconds - stated))
    # The header's precision is float32's, so the limit itself needs a little room.
    if abs(stored - stated) > _LARGEST_DIFFERENCE * stated * (1 + 1e-6):
        # A header that was made anew states 1 s; milliseconds that were called seconds, 1000 times.
        is_usual = header.seconds == 1 or math.isclose(header.seconds, 1e3 * stated, rel_tol=1e-3)
        if is_usual and root is not None and writes_wrong_times(root):
            return stated, (
                f"The sidecar's RepetitionTime ({stated:g} s) was used; the header has {header}: "
                "some releases of fMRIPrep, XCP-D and fMRIPost wrote headers so by mistake.",
            )
        raise RunError(
            f"{sidecar or bold} states a RepetitionTime of {stated:g} s, and the header of "
            f"{bold} states {header}",
            expected="the same time between frames, within 5 %",
            remedy="find out which is right and correct the other",
        )
    if abs(stored - stated) > _ROUNDING_SECONDS:
        note = f"The sidecar's RepetitionTime ({stated:g} s) was used; the header has {stored:g} s."
        return stated, (note,)
    return stated, ()


def _of_header(bold: Path, header: HeaderTime) -> tuple[float, tuple[str, ...]]:
    seconds = header.seconds
    if seconds is None:
        raise RunError(
            f"{bold} has no repetition time in its sidecars, nor in its header ({header})",
            expected="RepetitionTime (seconds) in the JSON file beside it",
        )
    if seconds > LONGEST_TR_SECONDS:
        raise RunError(
            f"{bold}: no sidecar has a RepetitionTime, and the header states {header}",
            expected=EXPECTED_TR,
            remedy=in_milliseconds(seconds),
        )
    note = f"No sidecar has a RepetitionTime: the header's ({seconds:g} s) was used."
    if header.unit is None:
        note = f"{note[:-1]}, which names no unit and was taken as seconds."
    return seconds, (note,)


def _readings(header: HeaderTime) -> tuple[float, ...]:
    """Return what a header may mean, in seconds: several where it names no unit."""
    if header.unit is not None and header.seconds is not None:
        return (header.seconds,)
    return tuple(round(header.value * unit, 6) for unit in _UNITS)
