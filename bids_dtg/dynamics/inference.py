"""Inference of a fitted model from people's networks, as arrays of NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.model import Gaussian, Items, NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.objective import Noise, terms_of
from bids_dtg.dynamics.parameters import Alignment, align, latent_kl
from bids_dtg.training.chance import borrowed_chance

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Belief:
    """A Gaussian posterior without covariances."""

    mean: Array
    sd: Array  # as mean

    @property
    def kl(self) -> Array:
        """Divergence of each element from the prior, a Gaussian of mean 0 and variance 1."""
        return np.asarray(latent_kl(self.mean, self.sd), np.float64)

    def draw(self, rng: np.random.Generator, *samples: int) -> Array:
        """Return samples, (*samples, *shape of the mean)."""
        return self.mean + self.sd * rng.standard_normal((*samples, *self.mean.shape))


@dataclass(frozen=True, eq=False)
class Inferred:
    """What a model infers from several people's series."""

    region: Belief  # (people, regions, region parameters)
    person: Belief  # (people, person parameters)
    first_state: Belief  # (people, regions, states)


def alignment_of(inferred: Inferred, networks: Networks) -> Alignment:
    """Return order and signs in which parameters are compared."""
    return align(inferred.region.mean, inferred.region.kl, features_of(networks))


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
    for label, series, network in zip(
        networks.people, networks.series, networks.network_input, strict=True
    ):
        items = _items(model, series, network, _number(label, known))
        posterior = model.infer(items)
        region.append(_stacked(posterior.region))
        first.append(_stacked(Gaussian(posterior.states.mean[0], posterior.states.log_variance[0])))
    rows = [_number(label, known) for label in networks.people]
    table = model.person_posterior(torch.as_tensor(rows))
    return Inferred(
        region=Belief(*np.moveaxis(np.array(region), 1, 0)),
        person=Belief(*_stacked(table)),
        first_state=Belief(*np.moveaxis(np.array(first), 1, 0)),
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
        for label, series, network in zip(
            networks.people, networks.series, networks.network_input, strict=True
        ):
            items = _items(model, series, network, _number(label, known))
            noise = Noise.draw(model, items, samples)
            terms = terms_of(model, items, model.infer(items), noise)
            found.append(terms.elbo().mean(0).cpu().double().numpy())
    return np.array(found)


def _number(label: str, known: tuple[str, ...]) -> int:
    if label not in known:
        raise ValueError(f"the model was not fitted to {label}")
    return known.index(label)


def _items(
    model: NetworkModel, series: NDArray[np.float32], network: NDArray[np.float32], person: int
) -> Items:
    like = model.observation.weight

    def by_frame(array: NDArray[np.float32]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array.T)).to(like)

    whose = torch.full((len(series),), person, device=like.device)
    return Items(by_frame(series), by_frame(network), whose)


def _stacked(gaussian: Gaussian) -> Array:
    """(2, *shape): mean and standard deviation."""
    return torch.stack((gaussian.mean, gaussian.sd)).cpu().double().numpy()
