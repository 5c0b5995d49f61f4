"""Posteriors that a fitted model infers from people's networks, as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Float64
from bids_dtg.dynamics.encoders import Gaussian
from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.networks import Networks


@dataclass(frozen=True, eq=False)
class Inferred:
    """Gaussian posteriors of several people: means and standard deviations."""

    region_mean: Float64  # (people, regions, region parameters)
    region_sd: Float64
    person_mean: Float64  # (people, person parameters)
    person_sd: Float64
    first_mean: Float64  # (people, regions, states), of the state at the first frame
    first_sd: Float64

    def draw_region(self, rng: np.random.Generator, *samples: int) -> Float64:
        """Return samples of the region parameters, (*samples, people, regions, parameters)."""
        return _drawn(self.region_mean, self.region_sd, rng, *samples)

    def draw_person(self, rng: np.random.Generator, *samples: int) -> Float64:
        """Return samples of the person parameters, (*samples, people, parameters)."""
        return _drawn(self.person_mean, self.person_sd, rng, *samples)

    def draw_first(self, rng: np.random.Generator) -> Float64:
        """Return a sample of the first states, (people, regions, states)."""
        return _drawn(self.first_mean, self.first_sd, rng)

    def of(self, person: int) -> Inferred:
        """Return the posteriors of one person."""
        return Inferred(
            **{name: values[[person]] for name, values in vars(self).items()}
        )


def _drawn(
    mean: Float64, sd: Float64, rng: np.random.Generator, *samples: int
) -> Float64:
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

    def by_frame(array: Float64) -> Tensor:  # (regions, frames) -> (frames, regions)
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


def _stacked(gaussian: Gaussian) -> Float64:
    """(2, *shape): mean and standard deviation."""
    return torch.stack((gaussian.mean, gaussian.sd)).cpu().double().numpy()
