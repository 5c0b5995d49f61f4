"""Dynamics of whole-brain activity: a linear core, and the network model of Sip et al., 2023.

With arrays: `make_networks` and `fit`; the fitted model has `infer` and `simulate`. For a linear
core, `LinearBundle.load(path).model().infer(LagCovariances.of(series))` returns a person's
process.

The model and its data:

- `networks`: people's regional series, and their structural connectomes
- `recipe`: sizes of a network and its training
- `model`: transition, observation and encoders, as a module of PyTorch
- `objective`: the evidence lower bound (ELBO), term by term, and the loss

Fitting:

- `task`: batches, loss, optimiser and history of a training (extra ``train``)
- `fitting`: fits a model, resumable and with restarts (extra ``train``)
- `inference`: posteriors that a fitted model infers from people's networks, as arrays

The linear core, without torch:

- `linear`: covariances at lags of a few frames; a person's process and functional connectivity,
  shrunk towards those of the training people
- `components`: each person's features for statistics, from unshrunken covariances, and their
  reliability between sessions

Known parameters, without torch:

- `simulators`: coupled Hopf oscillators
- `recovery`: recovery of known parameters from the model's, by a regression fitted to other people

Measures of series:

- `measures`: functional connectivity, its dynamics, spectra and zero-crossings of series
- `features`: regional features, and how much of their variance the regional parameters explain

Properties of a fitted model:

- `simulation`: whole-network simulations, all people and simulations in one tensor
- `fixed_points`: fixed points of a region and of a network, and their stability
- `parameters`: regional parameters: their use, order, roles in a region, and reliability

The slice around this science, from top to bottom:

- `row`: the workflow's entry in the program's table of workflows
- `demo`: a linear core, trained on simulated images and applied to a new person
- `demo_recovery`: simulated people with known parameters, which the network recovers
- `analyses`: what `group --analysis` does
- `participant`: reads people's data, and processes one participant
- `panels`: figures and texts of outputs and their pages
- `phantom`: simulated people whose parameters are known
- `bundle`: the kinds of model, and the writers and readers of their bundles
- `judging`: how well people's sessions are predicted or simulated
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_dtg.first_use import at_first_use

if TYPE_CHECKING:
    from bids_dtg.dynamics.bundle.linear import LinearBundle
    from bids_dtg.dynamics.fitting import Fitted, fit
    from bids_dtg.dynamics.linear import LagCovariances
    from bids_dtg.dynamics.networks import Networks, make_networks
    from bids_dtg.dynamics.recipe import Recipe, find_recipe

__all__ = [
    "Fitted",
    "LagCovariances",
    "LinearBundle",
    "Networks",
    "Recipe",
    "find_recipe",
    "fit",
    "make_networks",
]

# The command line reads recipes, and must not import torch.
__getattr__ = at_first_use(
    __name__,
    {
        "Fitted": "fitting",
        "LagCovariances": "linear",
        "LinearBundle": "bundle.linear",
        "Networks": "networks",
        "Recipe": "recipe",
        "find_recipe": "recipe",
        "fit": "fitting",
        "make_networks": "networks",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
