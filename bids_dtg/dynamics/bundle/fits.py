"""What models of regions' series share: which series they can describe."""

from __future__ import annotations

import math

from bids_dtg.bundles.fitted import FittedBundle, FittedTo
from bids_dtg.dynamics.networks import LEAST_FRAMES
from bids_dtg.errors import RunError
from bids_dtg.notices import counted, named

SAME_TR = 0.05  # largest relative difference from the model's time between frames


class SeriesBundle(FittedBundle[FittedTo]):
    """A verified model of regions' series, a step of which is a frame."""

    def _regions_in_words(self) -> tuple[str, str]:
        found = f"has {counted(len(self.regions), 'region')} ({named(self.regions)})"
        return found, "give their names under the key places"

    @property
    def tr_seconds(self) -> float:
        """Time between frames in seconds."""
        own = self.card.training.repetition_time_s
        assert own is not None  # compared with the part's when the card was read
        return own

    def require_frames(self, tr_seconds: float, frames: int) -> None:
        """Refuse series whose time between frames differs from the model's, or that are too short.

        Parameters
        ----------
        tr_seconds
            Time between frames in seconds: at most 5 % from the model's.
        frames
            Number of frames, from the first to the last that is used.

        Raises
        ------
        RunError
            Time between frames, or their number.
        """
        own = self.tr_seconds
        if not math.isclose(tr_seconds, own, rel_tol=0.0, abs_tol=SAME_TR * own):
            raise RunError(
                f"the frames are {tr_seconds:g} s apart and those of the model {self.card.name} "
                f"{own:g} s",
                expected=f"at most {SAME_TR:.0%} between them: a step of the model is a frame",
                remedy="use a model of series with the same repetition time",
            )
        if frames < LEAST_FRAMES:
            raise RunError(
                f"there are {counted(frames, 'frame')} from the first to the last that is kept",
                expected=f"{LEAST_FRAMES} or more",
            )
