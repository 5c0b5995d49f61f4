"""Series: those of all parcels as a carpet, by network, with the frames that were left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted
from bids_dtg.report.colours import GREYS
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import Canvas, Figure, Ramp, over_frames
from bids_dtg.report.parcels.files import series_of
from bids_dtg.report.parcels.regions import arrange
from bids_dtg.report.pictures import draw_matrix
from bids_dtg.report.quality import number

Values = NDArray[np.float32]
_END = 2.0  # standard deviations, of the darkest and the brightest grey
_MOST_COLUMNS = 2000  # pixels: a screen has no more
_LOWEST, _HIGHEST, _REM_A_PARCEL = 14.0, 26.0, 0.2  # rem


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw a row a parcel and a column a frame; what is not known is blank."""
    found = series_of(run)
    if found is None:
        return None
    arranged, kept = arrange(found.names), found.keep
    values = found.values[arranged.order]  # parcels frames
    picture = draw_matrix(_narrowed(values), GREYS, -_END, _END)
    seconds = len(kept) * (number(run.quality.get("repetition_time")) or 0)
    lanes = over_frames(
        canvas.write("series", picture),
        f"Series of {len(values)} parcels over {len(kept)} frames, {kept.sum()} of them kept",
        *(arranged.labels, kept, seconds),
        height=float(np.clip(_REM_A_PARCEL * len(values), _LOWEST, _HIGHEST)),
        parts=arranged.parts,
    )
    return Figure((lanes,), _caption(values, kept, arranged.words), ramp=_RAMP)


_RAMP = Ramp(f"\N{MINUS SIGN}{_END:g} sd", f"+{_END:g} sd", "greys")


def _caption(values: Values, kept: NDArray[np.bool_], by: str) -> str:
    text = "The cleaned series of each parcel, a row a parcel"
    text += f", by {by}" if by else ", in the order of the atlas"
    left = len(kept) - int(kept.sum())
    text += f"; {left} of {len(kept)} frames were left out and are shaded." if left else "."
    without = int((~np.isfinite(values).any(axis=1)).sum())
    return text + (f" {counted(without, 'parcel')} without a series: blank." if without else "")


def _narrowed(values: Values) -> Values:
    """Average neighbouring frames of a run that has more of them than a screen has pixels."""
    each = -(-values.shape[1] // _MOST_COLUMNS)
    if each == 1:
        return values
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % each)), constant_values=np.nan)
    parts = padded.reshape(len(values), -1, each)
    known = np.isfinite(parts)
    count = known.sum(axis=2)
    sums = np.where(known, parts, 0.0).sum(axis=2)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)
