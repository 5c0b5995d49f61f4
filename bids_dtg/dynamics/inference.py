"""Inference of a fitted model from people's networks, as arrays of NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.dynamics.model import Gaussian, Items, NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.objective import Noise, terms_of
from bids_dtg.training.chance import borrowed_chance

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
        """Return the posteriors of one of the people."""
        return Inferred(**{name: values[[person]] for name, values in vars(self).items()})


def _drawn(mean: Array, sd: Array, rng: np.random.Generator, *samples: int) -> Array:
    return mean + sd * rng.standard_normal((*samples, *mean.shape))


@torch.no_grad()
def infer(model: NetworkModel, networks: Networks, known: tuple[str, ...] = ()) -> Inferred:
    """Infer parameters and first states of training participants.

    Parameters
    ----------
    model
        Fitted model.
    networks
        People's series, of the training session or of another one.
    known
        Labels of the training participants, in the order of the model's tables.

    Raises
    ------
    ValueError
        A person is not in the model's tables.
    """
    region, first = [], []
    for items in _items_of(model, networks, known):
        posterior = model.infer(items)
        region.append(_stacked(posterior.region))
        first.append(_stacked(Gaussian(posterior.states.mean[0], posterior.states.log_variance[0])))
    rows = torch.as_tensor([known.index(label) for label in networks.people])
    return Inferred(
        *np.moveaxis(np.array(region), 1, 0),
        *_stacked(model.person_posterior(rows)),
        *np.moveaxis(np.array(first), 1, 0),
    )


@torch.no_grad()
def elbo_of(
    model: NetworkModel,
    networks: Networks,
    known: tuple[str, ...] = (),
    *,
    samples: int = 8,
    seed: int = 0,
) -> Array:
    """Return the ELBO of each series, (people, regions): a mean over samples, all terms in full."""
    found = []
    with borrowed_chance(str(model.observation.weight.device)):
        torch.manual_seed(seed)
        for items in _items_of(model, networks, known):
            terms = terms_of(model, items, model.infer(items), Noise.draw(model, items, samples))
            found.append(terms.elbo().mean(0).cpu().double().numpy())
    return np.array(found)


def _items_of(model: NetworkModel, networks: Networks, known: tuple[str, ...]) -> Iterator[Items]:
    """Yield the series of each person, known by the row of the model's tables."""
    like = model.observation.weight

    def by_frame(array: NDArray[np.float32]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array.T)).to(like)

    for label, *series in zip(
        networks.people, networks.series, networks.network_input, strict=True
    ):
        if label not in known:
            raise ValueError(f"the model was not fitted to {label}")
        whose = torch.full((len(series[0]),), known.index(label), device=like.device)
        yield Items(by_frame(series[0]), by_frame(series[1]), whose)


def _stacked(gaussian: Gaussian) -> Array:
    """(2, *shape): mean and standard deviation."""
    return torch.stack((gaussian.mean, gaussian.sd)).cpu().double().numpy()
