"""Paths of a region and of a network to their fixed points, with eigenvalues: tables, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.fixed_points import (
    START,
    Field,
    FixedPoints,
    NetworkField,
    NodeField,
    find,
    follow_map,
)
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.report.pages.analysis import Lines, Scatter

Values = NDArray[np.floating[Any]]

_PATHS, _FRAMES, _SEARCHES = 12, 100, 60
_SHOWN_SECONDS, _FEWEST_FRAMES = 15.0, 6  # of a path over time; seconds as published
_FEWEST_STATES = 2  # that have a plane
_LARGEST = 1e6  # a state beyond grows without bounds, and has no place in a picture
_COLUMNS = (
    Column("start", "Number of the random first state; n/a of a fixed point"),
    Column("frame", "Frames since the first state; n/a of a fixed point"),
)
_STATE = Column("x{}", "State {} of the model", unit="arbitrary")
_COMPONENT = Column("component{}", "Principal component {} of the paths", unit="arbitrary")
_EIGENVALUES = (
    Column("of", "What is linearised: a region without inputs, or the network"),
    Column("real", "Real part of an eigenvalue of the derivatives of f", unit="1/frame"),
    Column("imaginary", "Its imaginary part", unit="rad/frame"),
)


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Noise-free paths from random first states, and the fixed points."""

    paths: Values  # (frames, starts, dimensions)
    points: Values  # (fixed points, dimensions)
    eigenvalues: NDArray[np.complexfloating[Any]]  # (fixed points, states)

    @classmethod
    def of_region(cls, model: GenerativeModel, *, seed: int) -> Trajectories | None:
        """Follow a region with parameters and inputs of 0; None of a model with one state."""
        recipe = model.recipe
        if recipe.states < _FEWEST_STATES:
            return None
        region = np.zeros((1, recipe.region_parameters))
        person = np.zeros((1, recipe.person_parameters))
        field = NodeField(model, region, person, np.zeros(1), np.zeros(1))
        points = find(field, (1,), _SEARCHES, seed)
        held = _held(points.states)
        return cls(_followed(field, seed), points.states[held], points.eigenvalues[held])

    @classmethod
    def of_network(
        cls,
        model: GenerativeModel,
        weights: Values,
        region: Values,
        person: Values,
        points: FixedPoints,
        *,
        seed: int,
    ) -> Trajectories:
        """Follow the first person's network with the first draw of parameters.

        The dimensions are the two principal components of the paths.

        Parameters
        ----------
        model, weights, region, person
            As for `network_fixed_points`.
        points
            What that found.
        seed
            Seed of the first states.
        """
        field = NetworkField(model, weights[0], region[0, :1], person[0, :1], np.zeros(1))
        whole = _followed(field, seed)
        first = (points.case == 0) & _held(points.states)
        flat = whole.reshape(-1, field.dimension)
        known = flat[np.isfinite(flat).all(axis=1)]
        middle = known.mean(axis=0)
        axes = np.linalg.svd(known - middle, full_matrices=False)[2][:_FEWEST_STATES].T
        return cls(
            (whole - middle) @ axes,
            (points.states[first] - middle) @ axes,
            points.eigenvalues[first],
        )

    def table(self, words: str, *, components: bool = False) -> ResultTable:
        """Return the paths, a row a frame, and then the fixed points."""
        column = _COMPONENT if components else _STATE
        names = range(1, self.paths.shape[-1] + 1)
        columns = column.each(names)

        def row(start: int | None, frame: int | None, state: Values) -> dict[str, Any]:
            values = {own.name: float(value) for own, value in zip(columns, state, strict=True)}
            return {"start": start, "frame": frame, **values}

        rows = [
            row(start + 1, frame, state)
            for start in range(self.paths.shape[1])
            for frame, state in enumerate(self.paths[:, start])
        ]
        rows += [row(None, None, state) for state in self.points]
        return ResultTable((*_COLUMNS, *columns), rows, words)

    def lines(self, caption: str, label: str) -> Lines:
        """Return the picture of the first two dimensions; `label` of axes has {} for a number."""
        return Lines(
            caption=f"{caption}: {self.paths.shape[1]} noise-free paths of the trained map over "
            f"{len(self.paths) - 1} frames from random first states, and fixed points. No unit",
            x_label=f"{label.format(1)} (no unit)",
            y_label=f"{label.format(2)} (no unit)",
            series={"paths": _apart(self.paths.swapaxes(0, 1))},
            points={"fixed points": self.points[:, :2]},
        )

    def over_time(self, whose: str, label: str, tr_seconds: float) -> Lines:
        """Return the picture of one path over time: the first that stays within bounds.

        Parameters
        ----------
        whose
            What follows the path, in words.
        label
            Of the dimensions, with {} for a number.
        tr_seconds
            Seconds a frame.
        """
        frames = max(_FEWEST_FRAMES, 1 + round(_SHOWN_SECONDS / tr_seconds))
        begun = self.paths[:frames]
        within = np.isfinite(begun).all(axis=(0, 2))
        path = begun[:, int(np.argmax(within))]
        seconds = tr_seconds * np.arange(len(path))
        grew = "" if within.any() else ": all paths grow without bounds"
        return Lines(
            caption=f"A path of {whose} over its first {seconds[-1]:.0f} s{grew}",
            x_label="time (s)",
            y_label="value (no unit)",
            series={label.format(n): (seconds, own) for n, own in enumerate(path.T, 1)},
        )


def _followed(field: Field, seed: int) -> Values:
    """Return paths, (frames + 1, starts, dimension), of the first case; NaN once out of bounds."""
    rng = np.random.default_rng(seed)
    states = rng.uniform(-START, START, (_PATHS, field.dimension))
    paths = follow_map(field, states, np.zeros(_PATHS, np.intp), _FRAMES)
    paths[~_held(paths)] = np.nan
    return paths


def _held(states: Values) -> NDArray[np.bool_]:
    """Return which states (..., dimension) are within bounds."""
    return np.asarray((np.abs(states) < _LARGEST).all(axis=-1))


def _apart(paths: Values) -> tuple[Values, Values]:
    """Return x and y of paths (paths, frames, dimensions), with a gap after each."""
    gap = np.full((len(paths), 1, 2), np.nan)
    joined = np.concatenate((paths[..., :2], gap), axis=1).reshape(-1, 2)
    return joined[:, 0], joined[:, 1]


def eigenvalue_table(region: Trajectories | None, network: Trajectories) -> ResultTable:
    """Return the eigenvalues at the fixed points of a region and of a network, a row each."""
    of = {"region": region, "network": network}
    rows = [
        {"of": name, "real": float(value.real), "imaginary": float(value.imag)}
        for name, own in of.items()
        if own is not None
        for value in own.eigenvalues.ravel()
    ]
    return ResultTable(_EIGENVALUES, rows, "Eigenvalues at fixed points: a row each")


def eigenvalue_scatter(own: Trajectories, whose: str) -> Scatter:
    """Return the picture of eigenvalues in the complex plane."""
    values = own.eigenvalues.ravel()
    return Scatter(
        caption=f"Eigenvalues at the fixed points of {whose}, per frame: stable as a flow left of "
        "0, as a map within 1 of \N{MINUS SIGN}1",
        x_label="real part (1/frame)",
        y_label="imaginary part (rad/frame)",
        points=np.stack((values.real, values.imag), -1),
    )
