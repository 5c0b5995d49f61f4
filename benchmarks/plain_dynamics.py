"""The plain way to train the network model: inputs repeated for each sample, all terms sampled.

Not part of the package; the other side of `dynamics.py`. As the original does (Sip et al., 2023),
each sample's series goes through both encoders, so that S samples are S times their work, and the
transition reads all that it depends on at each frame, joined to one array. The weights are those of
a `NetworkModel`, so that both sides can be given the same numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.objective import Noise


def plain_loss(model: NetworkModel, items: Items, noise: Noise) -> Tensor:
    """Return the loss of a batch, with all terms in full."""
    frames = len(items.series)
    samples = noise.states.shape[1]
    # Rows: samples of an item, one after the other.
    series = items.series.repeat_interleave(samples, dim=1)
    network = items.network.repeat_interleave(samples, dim=1)
    person = items.person.repeat_interleave(samples)
    whose = torch.nn.functional.one_hot(person, model.people).to(series.dtype)
    inputs = torch.cat((series[..., None], network[..., None], whose.expand(frames, -1, -1)), -1)

    def rows(values: Tensor, axis: int) -> Tensor:
        """Join the axes of samples and items, (samples, items), item by item."""
        return values.transpose(axis, axis + 1).flatten(axis, axis + 1)

    def sample(mean: Tensor, log_variance: Tensor, unit: Tensor) -> Tensor:
        return mean + torch.exp(0.5 * log_variance) * unit

    def log_normal(x: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
        log_variance = torch.as_tensor(log_variance, dtype=series.dtype)
        squares = (x - mean) ** 2 / torch.exp(log_variance)
        return -0.5 * (math.log(2 * math.pi) + log_variance + squares)

    def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
        return 0.5 * (torch.exp(log_variance) + mean**2 - 1 - log_variance).sum(-1)

    states_out, _ = model.state_encoder.lstm(inputs)
    x_mean, x_log_variance = model.state_encoder.out(states_out).chunk(2, -1)
    _, (last, _) = model.region_encoder.lstm(inputs)
    last = torch.cat((last[0], last[1]), -1)
    region_mean, region_log_variance = model.region_encoder.out(last).chunk(2, -1)
    person_mean, person_log_variance = model.person_table[person].unbind(-1)
    us_mean, us_log_variance = model.external_table[person].permute(2, 1, 0)

    x = sample(x_mean, x_log_variance, rows(noise.states, 1))
    region = sample(region_mean, region_log_variance, rows(noise.region, 0))
    who = sample(person_mean, person_log_variance, rows(noise.person, 0))
    us = sample(us_mean, us_log_variance, rows(noise.external, 1))

    changing = (network[..., None], us[..., None])
    fixed = (region.expand(frames, -1, -1), who.expand(frames, -1, -1))
    z = torch.cat((x, *fixed, *changing), -1)
    change = model.transition.out(torch.relu(model.transition.hidden(z)))
    expected = model.observation(x)[..., 0]

    log_y = log_normal(series, expected, model.observation_log_variance).sum(0)
    first = log_normal(x[0], 0.0, model.recipe.first_state_log_variance).sum(-1)
    steps = log_normal(x[1:], x[:-1] + change[:-1], model.state_log_variance)
    log_x = first + steps.sum((0, -1))
    log_q_x = log_normal(x, x_mean, x_log_variance).sum((0, -1))
    alpha = model.alpha
    log_us = log_normal(us[0], 0.0, 0.0)
    log_us = log_us + log_normal(us[1:], alpha * us[:-1], torch.log(1 - alpha**2)).sum(0)
    log_q_us = log_normal(us, us_mean, us_log_variance).sum(0)

    recipe = model.recipe
    elbo = log_y + log_x - log_q_x - kl(region_mean, region_log_variance)
    elbo = elbo - recipe.person_penalty * kl(person_mean, person_log_variance) / model.regions
    elbo = elbo + (log_us - log_q_us) / model.regions
    penalty = recipe.state_penalty * (x**2).sum((0, -1))
    weights = sum((p**2).sum() for p in model.transition.parameters())
    return (penalty - elbo).mean() + recipe.transition_penalty * weights
