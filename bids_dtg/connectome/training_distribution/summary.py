"""Low-resolution summary of a connectome: means in the blocks of a lattice, and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.connectome.training_distribution.pattern import (
    PatternFigures,
    PatternPlaces,
    pattern_figures,
)

Array = NDArray[np.float32]
Float = NDArray[np.float64]
_AMOUNTS = ("residual_dof", "memory_s", "seconds", "frames")
# Shares of independent frames beyond these bounds determine no memory: they are clipped.
_LEAST_SHARE, _MOST_SHARE = 0.01, 0.99


@dataclass(frozen=True, eq=False)
class LatticeBlocks:
    """Blocks of a coarse lattice over places; only those with a place in them."""

    order: NDArray[np.intp]  # (places,), sorted by block
    starts: NDArray[np.intp]  # (blocks,), where a block's places begin in that order

    @classmethod
    def of(cls, block_of: NDArray[np.intp]) -> LatticeBlocks:
        """Take the number of each place's block, (places,)."""
        order = np.argsort(block_of, kind="stable")
        _, starts = np.unique(block_of[order], return_index=True)
        return cls(order, starts)

    def means(self, r: Array, covered: NDArray[np.bool_]) -> Array:
        """Average a connectome (rois, places), 0 where not covered: (rois, blocks), NaN: none."""
        counts = np.add.reduceat(covered[self.order].astype(np.float32), self.starts)
        sums = np.stack([np.add.reduceat(row[self.order], self.starts) for row in r])
        means = sums / np.where(counts > 0, counts, np.nan)
        return means.astype(np.float32)


@dataclass(frozen=True, eq=False)
class ConnectomeSummary:
    """What the out-of-distribution check keeps of a connectome."""

    blocks: NDArray[np.floating]  # (rois, blocks), means; NaN where there is no signal
    pattern: PatternFigures
    residual_dof: float  # that it rests on; NaN: not known
    # How long the run's series remember: the time constant of an AR(1) process with as much
    # autocorrelation; NaN: not known.
    memory_s: float
    seconds: float  # its time
    frames: float  # that are kept

    @classmethod
    def of(
        cls, part: Connectome, run: RunConnectomes, pattern: PatternFigures, blocks: LatticeBlocks
    ) -> ConnectomeSummary:
        """Summarise a part of a run, whose pattern is known."""
        means = blocks.means(part.marginal, run.covered)
        share = run.effective_dof / run.residual_dof if run.residual_dof > 0 else float("nan")
        memory = memory_of(share, part.seconds / part.frames)
        return cls(means, pattern, part.residual_dof, memory, part.seconds, part.frames)

    @classmethod
    def of_part(
        cls, part: Connectome, run: RunConnectomes, places: PatternPlaces, blocks: LatticeBlocks
    ) -> ConnectomeSummary:
        """Summarise a part of a run."""
        return cls.of(part, run, pattern_figures(part.marginal, run.covered, places), blocks)


def independent_share(memory_s: float, tr_seconds: Float) -> Float:
    """Return the share of independent frames, for correlations of AR(1) processes.

    Bartlett 1946 (J. R. Stat. Soc. Suppl. 8: 27): (1 - a²) / (1 + a²), a = exp(-TR / memory).

    Examples
    --------
    >>> independent_share(1.7, np.array([0.7, 2.0])).round(2)
    array([0.39, 0.83])
    """
    square = np.exp(-2 * tr_seconds / memory_s)
    share: Float = (1 - square) / (1 + square)
    return share


def memory_of(share: float, tr_seconds: float) -> float:
    """Return the memory, in seconds, that leaves such a share of frames independent.

    Examples
    --------
    >>> round(memory_of(0.83, tr_seconds=2.0), 1)
    1.7
    """
    if not share > 0:
        return float("nan")
    known = min(max(share, _LEAST_SHARE), _MOST_SHARE)
    return -2 * tr_seconds / float(np.log((1 - known) / (1 + known)))


@dataclass(frozen=True, eq=False)
class Rest:
    """A person's rest, cut and joined to several lengths; each item is disjoint parts of a run."""

    segments: tuple[tuple[ConnectomeSummary, ...], ...]  # of each run, as a model reads it
    other_lengths: tuple[tuple[ConnectomeSummary, ...], ...]  # shorter and longer parts

    def __add__(self, other: Rest) -> Rest:
        """Join the rest of two runs of a person."""
        return Rest(self.segments + other.segments, self.other_lengths + other.other_lengths)

    @property
    def lengths(self) -> tuple[tuple[ConnectomeSummary, ...], ...]:
        """Parts of all lengths."""
        return self.segments + self.other_lengths


def pack_rest(rest: Rest) -> tuple[NDArray[np.float16], dict[str, Any]]:
    """Turn summaries to an array (parts, rois, blocks) and values for JSON."""
    parts = [summary for length in rest.lengths for summary in length]
    notes = {
        "segments": [len(length) for length in rest.segments],
        "other_lengths": [len(length) for length in rest.other_lengths],
        "patterns": [_plain(vars(summary.pattern)) for summary in parts],
        "amounts": [
            _plain({name: getattr(summary, name) for name in _AMOUNTS}) for summary in parts
        ],
    }
    return np.stack([summary.blocks.astype(np.float16) for summary in parts]), notes


def unpack_rest(blocks: NDArray[np.floating], notes: Mapping[str, Any]) -> Rest:
    """Return the summaries that `pack_rest` was given, to the rounding of float16."""
    rows = zip(blocks, notes["patterns"], notes["amounts"], strict=True)
    parts = iter(
        ConnectomeSummary(own, PatternFigures(**_numbers(pattern)), **_numbers(amounts))
        for own, pattern, amounts in rows
    )
    return Rest(
        *(
            tuple(tuple(islice(parts, count)) for count in notes[name])
            for name in ("segments", "other_lengths")
        )
    )


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: float(x) if np.isfinite(x) else None for name, x in values.items()}


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if x is None else x for name, x in values.items()}
