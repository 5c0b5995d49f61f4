"""Inference of a fitted model from people's networks, as arrays of NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.dynamics.amortised import AmortisedModel, Sessions, StatePath
from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.model import Gaussian, GenerativeModel, Items, NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.objective import Noise, terms_of
from bids_dtg.dynamics.parameters import Alignment, align, latent_kl
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.session_objective import elbo_of_sessions
from bids_dtg.training.chance import borrowed_chance

Array = NDArray[np.float64]

PATHS = 8  # paths of an amortised model's states that end at a frame


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


def alignment_of(recipe: Recipe, inferred: Inferred, networks: Networks) -> Alignment:
    """Return order and signs in which parameters are compared.

    Those of an amortised model come from its training participants.
    """
    if recipe.amortised:
        count = recipe.region_parameters
        return Alignment(np.arange(count), np.ones(count))
    return align(inferred.region.mean, inferred.region.kl, features_of(networks))


@dataclass(frozen=True, eq=False)
class Ending:
    """Draws from a model's posterior of a person at the last frame of a series."""

    state: Array  # (draws, regions, states)
    external: Array  # (draws, external inputs)
    region: Array  # (draws, regions, region parameters)
    person: Array  # (draws, person parameters)


@torch.no_grad()
def infer(model: GenerativeModel, networks: Networks, known: tuple[str, ...] = ()) -> Inferred:
    """Infer parameters and first states of people, for an amortised model also of new people.

    Parameters
    ----------
    model
        Fitted model, with tables or amortised.
    networks
        People's series, of the training session or of another one.
    known
        Labels of the training participants, in the order of the model's tables, if it has any.

    Raises
    ------
    ValueError
        The model has tables of people, and a person is not in them.
    """
    if isinstance(model, AmortisedModel):
        return _infer_anybody(model, networks)
    assert isinstance(model, NetworkModel)
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
    model: GenerativeModel,
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
        if isinstance(model, AmortisedModel):
            return np.concatenate(
                [
                    elbo_of_sessions(model, own, samples).cpu().double().numpy()
                    for own in _sessions(model, networks)
                ]
            )
        assert isinstance(model, NetworkModel)
        for label, series, network in zip(
            networks.people, networks.series, networks.network_input, strict=True
        ):
            items = _items(model, series, network, _number(label, known))
            noise = Noise.draw(model, items, samples)
            terms = terms_of(model, items, model.infer(items), noise)
            found.append(terms.elbo().mean(0).cpu().double().numpy())
    return np.array(found)


@torch.no_grad()
def draw_ending(
    model: GenerativeModel,
    networks: Networks,
    known: tuple[str, ...],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Ending:
    """Draw parameters of one person, and state and external inputs at the series' last frame.

    Parameters
    ----------
    model, known
        Model and training participants, as for `infer`.
    networks
        Networks of the person; the frames after its series may then be simulated.
    draws
        Number of draws. For an amortised model, they share `PATHS` paths of states.
    rng
        Random generator of the draws.

    Raises
    ------
    ValueError
        The model has tables of people, and the person is not in them.

    Notes
    -----
    An external input that a table holds is drawn from its prior: the table was learned from
    all frames of a session, including those that follow.
    """
    if isinstance(model, AmortisedModel):
        return _ending_of_anybody(model, networks, draws, rng)
    assert isinstance(model, NetworkModel)
    (label,), series, network = networks.people, networks.series[0], networks.network_input[0]
    posterior = model.infer(_items(model, series, network, _number(label, known)))

    def drawn(mean: Tensor, log_variance: Tensor) -> Array:
        return Belief(*_stacked(Gaussian(mean, log_variance))).draw(rng, draws)

    return Ending(
        state=drawn(posterior.states.mean[-1], posterior.states.log_variance[-1]),
        external=rng.standard_normal((draws, model.recipe.external_inputs)),
        region=drawn(posterior.region.mean, posterior.region.log_variance),
        person=drawn(posterior.person.mean[0], posterior.person.log_variance[0]),
    )


def _ending_of_anybody(
    model: AmortisedModel, networks: Networks, draws: int, rng: np.random.Generator
) -> Ending:
    """Draw paths over the last frames, as many as the model was trained on at once."""
    (whole,) = _sessions(model, networks)
    last = replace(whole, series=whole.series[..., -model.recipe.window :])
    path, region, person = _drawn_path(model, last.repeated(min(PATHS, draws)), rng)
    which = np.arange(draws) % len(region)
    found = (part.cpu().double().numpy()[which] for part in (*path.last, region, person))
    return Ending(*found)


def _drawn_path(
    model: AmortisedModel, sessions: Sessions, rng: np.random.Generator
) -> tuple[StatePath, Tensor, Tensor]:
    """Draw a path of each session from the posterior, and parameters of regions and people."""
    with borrowed_chance(str(model.observation.weight.device)):
        torch.manual_seed(int(rng.integers(2**62)))
        posterior, of_person = model.parameters_of(sessions)
        region, person = (q.mean + q.sd * torch.randn_like(q.mean) for q in (posterior, of_person))
        return model.path(sessions, posterior.mean, region, person), region, person


@torch.no_grad()
def draw_states(
    model: GenerativeModel,
    networks: Networks,
    known: tuple[str, ...],
    *,
    rng: np.random.Generator,
) -> Array:
    """Draw the states behind one person's series from the posterior.

    Parameters
    ----------
    model, known
        Model and training participants, as for `infer`.
    networks
        Networks of the person.
    rng
        Random generator of the draw.

    Returns
    -------
    numpy.ndarray
        (frames, regions, states). The posterior of a model with tables is independent at each
        frame.

    Raises
    ------
    ValueError
        The model has tables of people, and the person is not in them.
    """
    if isinstance(model, AmortisedModel):
        (whole,) = _sessions(model, networks)
        return _drawn_path(model, whole, rng)[0].states[:, 0].cpu().double().numpy()
    assert isinstance(model, NetworkModel)
    (label,), series, network = networks.people, networks.series[0], networks.network_input[0]
    posterior = model.infer(_items(model, series, network, _number(label, known)))
    return Belief(*_stacked(posterior.states)).draw(rng)


def _infer_anybody(model: AmortisedModel, networks: Networks) -> Inferred:
    found = []
    for own in _sessions(model, networks):
        of_regions, of_people = model.parameters_of(own)
        first = model.first_state(own, of_regions.mean)
        found.append([_stacked(gaussian) for gaussian in (of_regions, of_people, first)])
    return Inferred(*(Belief(*np.concatenate(own, axis=1)) for own in zip(*found, strict=True)))


def _sessions(model: AmortisedModel, networks: Networks) -> Iterator[Sessions]:
    """Yield people's sessions one by one: covariances of many would fill the memory."""
    like = model.observation.weight
    for series, weights in zip(networks.series, networks.weights, strict=True):
        yield Sessions.whole(
            *(torch.as_tensor(array[None]).to(like) for array in (series, weights))
        )


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
