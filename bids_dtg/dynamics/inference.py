"""Posteriors that a fitted model infers from people's networks, as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.dynamics.encoders import Gaussian
from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.networks import Networks

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Inferred:
    """Gaussian posteriors of several people: means and standard deviations."""

    region_mean: Array  # (people, regions, region parameters)
    region_sd: Array
    person_mean: Array  # (people, person parameters)
    person_sd: Array
    first_mean: Array  # (people, regions, states), of the state at the first frame
    first_sd: Array

    def draw_region(self, rng: np.random.Generator, *samples: int) -> Array:
        """Return samples of the region parameters, (*samples, people, regions, parameters)."""
        return _drawn(self.region_mean, self.region_sd, rng, *samples)

    def draw_person(self, rng: np.random.Generator, *samples: int) -> Array:
        """Return samples of the person parameters, (*samples, people, parameters)."""
        return _drawn(self.person_mean, self.person_sd, rng, *samples)

    def draw_first(self, rng: np.random.Generator) -> Array:
        """Return a sample of the first states, (people, regions, states)."""
        return _drawn(self.first_mean, self.first_sd, rng)

    def of(self, person: int) -> Inferred:
        """Return the posteriors of one person."""
        return Inferred(
            **{name: values[[person]] for name, values in vars(self).items()}
        )


def _drawn(mean: Array, sd: Array, rng: np.random.Generator, *samples: int) -> Array:
    return mean + sd * rng.standard_normal((*samples, *mean.shape))


@torch.no_grad()
def infer(
    model: NetworkModel, networks: Networks, row_labels: tuple[str, ...] = ()
) -> Inferred:
    """Infer the parameters and first states of training participants.

    Parameters
    ----------
    model
        Fitted model.
    networks
        People's networks, from the training session or another one.
    row_labels
        Labels of the training participants, in the order of the model's tables.

    Raises
    ------
    ValueError
        A person is not in the model's tables.
    """
    like = model.observation.weight

    def by_frame(array: Array) -> Tensor:  # (regions, frames) -> (frames, regions)
        return torch.as_tensor(np.ascontiguousarray(array.T)).to(like)

    region, first = [], []
    row_of = {label: row for row, label in enumerate(row_labels)}
    people = zip(networks.people, networks.series, networks.network_input, strict=True)
    for label, series, network_input in people:
        if label not in row_of:
            raise ValueError(f"the model was not fitted to {label}")
        row = row_of[label]
        person = torch.full((len(series),), row, device=like.device)
        items = Items(by_frame(series), by_frame(network_input), person)
        posterior = model.infer(items)
        region.append(_stacked(posterior.region))
        states = posterior.states
        first.append(_stacked(Gaussian(states.mean[0], states.log_variance[0])))
    rows = torch.as_tensor([row_of[label] for label in networks.people])
    return Inferred(
        *np.moveaxis(np.array(region), 1, 0),
        *_stacked(model.person_posterior(rows)),
        *np.moveaxis(np.array(first), 1, 0),
    )


def _stacked(gaussian: Gaussian) -> Array:
    """(2, *shape): mean and standard deviation."""
    return torch.stack((gaussian.mean, gaussian.sd)).cpu().double().numpy()
