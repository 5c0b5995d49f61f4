"""The data-driven network model of whole-brain dynamics (Sip et al., 2023).

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

- `forms`: the forms of model: a network model and the linear core, and what each has

The linear core, without torch:

- `lag_covariances`: covariances at lags of a few frames, of a person and summed over people
- `linear`: a person's autoregressive process, shrunk to that of training people
- `components`: features of people for statistics, from unshrunken covariances
- `retest`: the components of training people, and their reliability between sessions

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
- `participant`: the work on one participant, and how people are read
- `panels`: figures and text of the pages of results
- `phantom`: simulated people with a known truth
- `bundle`: the content of a bundle of such a model: writer and reader
- `judging`: how well a model's series agree with people's
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.dynamics.bundle.linear import load_linear_bundle
    from bids_dtg.dynamics.fitting import Fitted, fit
    from bids_dtg.dynamics.lag_covariances import LagCovariances
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
    "LagCovariances": "lag_covariances",
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
