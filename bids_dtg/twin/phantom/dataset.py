"""Simulated people as data sets: rest as fMRIPrep leaves it, an atlas, event files, the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.regions import (
    BLOCK,
    TRUTH,
    Parcels,
    RegionPhantom,
    RegionPlan,
    draw_positions,
    region_names,
    write_arrays,
)
from bids_dtg.phantom.run import correlated, persistence_of
from bids_dtg.phantom.streams import Cohort, Purpose, stream
from bids_dtg.twin.phantom.files import write_events, write_truth
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.world import trial_sequence

_SEQUENCES = ("hammerAP", "stroopAP")  # that everybody performs


@dataclass(frozen=True, eq=False)
class TwinPhantom(RegionPhantom):
    """People whose responses depend on their connectome, and the positions of its regions.

    Examples
    --------
    >>> phantom = TwinPhantom.of(RegionPlan(people=2, regions=8, frames=100), block=4)
    >>> phantom.people.connectomes.shape, phantom.draw_run(1).frames, phantom.parcels.names[0]
    ((2, 28), 100, 'lh-r01')
    """

    people: TwinPeople  # their connectomes are exactly the correlations of the series

    image: ClassVar[Purpose] = Purpose.TWIN_IMAGE
    title: ClassVar[str] = "twins"
    model: ClassVar[str] = (
        "drift diffusion, with parameters that depend on the connectome"
    )
    facts: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"Sequences": list(_SEQUENCES), "TaskBold": False}
    )
    contents: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"bids": "event files of tasks: a raw dataset without images"}
    )
    ignored: ClassVar[str] = "*_timeseries.*\ntpl-*\n"
    truth: ClassVar[str] = (
        "Connectomes, parameters and mean response times that were simulated."
    )

    @classmethod
    def of(cls, plan: RegionPlan, *, block: int = BLOCK) -> TwinPhantom:
        """Simulate people of 8 regions or more, see `RegionPhantom.of`."""
        half = plan.regions // 2 - 1  # the last one of each hemisphere is an amygdala
        names = tuple(
            f"{name[:2]}-amygdala" if number % (half + 1) == half else name
            for number, name in enumerate(region_names(plan.regions))
        )
        drawn = simulate_twin_people(
            plan.people,
            "images",
            regions=plan.regions,
            seed=plan.seed,
            cohort=Cohort.DEMO,
        )
        connectomes = np.stack([possible_edges(edges) for edges in drawn.connectomes])
        people = replace(drawn, connectomes=connectomes)
        places = draw_positions(
            plan.regions // 2, stream(plan.seed, Purpose.TWIN_PLACES)
        )
        parcels = Parcels.around(places, names, load_anatomy(block))
        return cls(plan, parcels, people.labels, people)

    def draw_rest(self, person: int) -> Float32:
        """Draw series with a person's connectome as correlations, (frames, regions)."""
        plan = self.plan
        return draw_rest(
            self.people.connectomes[person],
            stream(plan.seed, Purpose.TWIN_REST, person=person),
            frames=plan.frames,
            persistence=persistence_of(plan.repetition_time_s),
        )

    def write_further_datasets(self, out: Path) -> None:
        """Write event files and the truth.

        Parameters
        ----------
        out
            Folder that gets ``bids`` (an event file for each person and sequence) and ``truth``:
            connectomes before noise (``connectomes.npz``), true parameters, mean response times
            and shares of correct responses (``truth.tsv``).
        """
        path, edges = out / TRUTH / "connectomes.npz", self.people.connectomes
        write_arrays(path, self.labels, self.parcels.names, edges=edges)
        write_truth(out / TRUTH / "truth.tsv", self.people)
        sequences = [trial_sequence(name) for name in _SEQUENCES]
        runs = self.people.runs(sequences, seed=self.plan.seed)
        write_events(out / "bids", self.people, sequences, runs)


_LEAST_EIGENVALUE = 0.05  # smallest one of the series' correlation matrix


def possible_edges(edges: Floats) -> Float32:
    """Return a connectome that series can have, approximately the nearest one.

    Eigenvalues of the correlations below 0.05 become 0.05, and the diagonal is 1 again.

    Parameters
    ----------
    edges
        (edges,): upper triangle row by row, Fisher z.

    Returns
    -------
    numpy.ndarray
        (edges,); unchanged if all eigenvalues are larger.

    Examples
    --------
    >>> possible_edges(np.arctanh([0.9, 0.9, -0.9])).round(1)
    array([ 0.5,  0.5, -0.5], dtype=float32)
    >>> possible_edges(np.array([0.3, 0.2, 0.1]))
    array([0.3, 0.2, 0.1], dtype=float32)
    """
    values, vectors = np.linalg.eigh(correlations(edges))
    if values[0] >= _LEAST_EIGENVALUE:
        return edges.astype(np.float32)
    nearest = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
    sd = np.sqrt(np.diagonal(nearest))
    nearest /= np.outer(sd, sd)
    return np.arctanh(upper_edges(nearest)).astype(np.float32)


def correlations(edges: Floats) -> Float64:
    """Return correlations (regions, regions) of edges (edges,) in Fisher z.

    Examples
    --------
    >>> correlations(np.arctanh([0.5]))
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    from scipy.spatial.distance import squareform

    matrix: Float64 = squareform(np.tanh(edges).astype(np.float64))
    np.fill_diagonal(matrix, 1.0)
    return matrix


def draw_rest(
    edges: Floats,
    rng: np.random.Generator,
    *,
    frames: int,
    persistence: float,
) -> Float32:
    """Draw series of rest whose sample correlations are exactly those of a connectome.

    Parameters
    ----------
    edges
        (edges,): upper triangle row by row, Fisher z, as `possible_edges` returns them.
    rng
        Random generator of the series.
    frames
        Number of frames, more than regions.
    persistence
        Correlation from one frame to the next, as `nuisance.persistence_of` returns it.

    Returns
    -------
    numpy.ndarray
        (frames, regions), mean 0 and variance 1.

    Examples
    --------
    >>> edges = np.array([0.5, -0.2, 0.1])
    >>> rng = np.random.default_rng(0)
    >>> series = draw_rest(edges, rng, frames=50, persistence=0.5)
    >>> np.arctanh(np.corrcoef(series.T)[np.triu_indices(3, 1)]).round(4)
    array([ 0.5, -0.2,  0.1])
    """
    root = np.linalg.cholesky(correlations(edges))
    white = correlated(rng.standard_normal((frames, len(root))), persistence)
    # An orthonormal basis of the same series: exactly uncorrelated in this run.
    basis, _ = np.linalg.qr(white - white.mean(axis=0))
    return np.asarray(np.sqrt(frames) * basis @ root.T, np.float32)
