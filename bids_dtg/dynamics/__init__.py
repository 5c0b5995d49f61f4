"""Dynamics of whole-brain activity: a linear core, and the network model of Sip et al., 2023.

From arrays: `make_networks`, `fit`, and with its result `infer` and `simulate`. Of a linear core,
`load_linear_bundle(path).model().infer(LagCovariances.of(series))` is a person's process.

The model and its data:

- `networks`: people's regional series, and their structural connectomes
- `recipe`: architecture and training of a model, with each doubtful point of the original
- `model`: transition, observation and encoders, as a module of PyTorch
- `objective`: the evidence lower bound (ELBO), term by term, and the loss

Fitting:

- `task`: batches, loss, optimiser and record of a training (extra ``train``)
- `fitting`: fits a model: resumable, with restarts (extra ``train``)
- `inference`: what a fitted model infers from people's networks, as arrays

The linear core, without torch:

- `linear`: covariances at lags of a few frames; a person's process and functional connectivity,
  shrunk to those of training people
- `components`: features of people for statistics, from unshrunken covariances, and their
  reliability between sessions

Test models, without torch:

- `test_models`: coupled Hopf oscillators, and mean-field models that noise switches
- `recovery`: known parameters, recovered by a regression on the model's in other people

Measures of series:

- `measures`: functional connectivity, its dynamics, spectra and zero-crossings of series
- `features`: regional features, and how much of them the regional parameters explain

Properties of a fitted model:

- `simulation`: whole-network simulations, over people and simulations in one tensor
- `fixed_points`: fixed points of a region and of a network, and their stability
- `parameters`: regional parameters: their use, order, roles in a region, and reliability

The slice around this science, from top to bottom:

- `row`: the workflow's entry in the program's table of workflows
- `demo`: simulated images through a linear core to a person it has not seen
- `demo_recovery`: simulated people with known parameters, and their recovery by the network
- `analyses`: what `group --analysis` does
- `participant`: how people are read, and the work on one participant
- `panels`: figures and texts of outputs and their pages
- `phantom`: simulated people with a known truth
- `bundle`: the kinds of model, and the content of their bundles: writer and reader
- `judging`: how well sessions of people are predicted or simulated
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.dynamics.bundle.linear import load_linear_bundle
    from bids_dtg.dynamics.fitting import Fitted, fit
    from bids_dtg.dynamics.linear import LagCovariances
    from bids_dtg.dynamics.networks import Networks, make_networks
    from bids_dtg.dynamics.recipe import Recipe, find_recipe

__all__ = [
    "Fitted",
    "LagCovariances",
    "Networks",
    "Recipe",
    "find_recipe",
    "fit",
    "load_linear_bundle",
    "make_networks",
]

# The module of each public name, imported at its first use (PEP 562): the command line
# reads recipes, and must not import torch.
_MODULES: Mapping[str, str] = {
    "Fitted": "fitting",
    "LagCovariances": "linear",
    "Networks": "networks",
    "Recipe": "recipe",
    "find_recipe": "recipe",
    "fit": "fitting",
    "load_linear_bundle": "bundle.linear",
    "make_networks": "networks",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'bids_dtg.dynamics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bids_dtg.dynamics.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
