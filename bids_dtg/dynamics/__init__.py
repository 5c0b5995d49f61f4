"""The data-driven network model of whole-brain dynamics (Sip et al., 2023).

From arrays: `make_networks`, `fit`, and of what it returns `infer` and `simulate`.

What the model reads, and what it is:

- `networks`: people's series of each region, and the structural connectome between them
- `recipe`: what a model consists of, how it is trained, and each doubtful point of the original
- `model`: transition, observation and encoders, as a module of PyTorch
- `amortised`: the model of anybody: encoders in place of tables of people
- `objective`: the evidence lower bound (ELBO), term by term, and the loss
- `session_objective`: the ELBO of people, forecasts, and sessions that the model makes by itself

Fitting:

- `task`: batches, loss, optimiser and record of a training (extra ``train``)
- `session_task`: batches of windows of people (extra ``train``)
- `fitting`: fits a model: resumable, with restarts (extra ``train``)
- `inference`: what a fitted model infers of people's networks, as arrays

What is measured of series:

- `measures`: functional connectivity, its dynamics, spectra and zero-crossings of series
- `features`: figures of regions, and how much of them the regional parameters explain

What a fitted model does:

- `simulation`: whole-network simulations, over people and simulations in one tensor
- `fixed_points`: where states rest, of a region and of a network, and whether that is stable
- `roles`: what a region alone does as one of its parameters varies
- `parameters`: which regional parameters a model uses, in what order, how stable they are

The slice around this science, from top to bottom:

- `row`: all that the rest of the program knows of the slice
- `demo`, `demo_picture`: simulated people whose parameters are recovered, and the picture of it
- `analyses`: what `group --analysis` does
- `participant`: what is made of one participant, and how people are read
- `panels`: what pages show and say of results
- `phantom`: simulated people with a known truth
- `bundle`: what a bundle of such a model holds: writer and reader
- `judging`: how well a model's series agree with people's
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.dynamics.fitting import Fitted, fit
    from bids_dtg.dynamics.networks import Networks, make_networks
    from bids_dtg.dynamics.recipe import Recipe, find_recipe

__all__ = ["Fitted", "Networks", "Recipe", "find_recipe", "fit", "make_networks"]

# The module of each public name, imported when the name is first used (PEP 562): the command line
# reads recipes, and must not cost the import of torch.
_MODULES: Mapping[str, str] = {
    "Fitted": "fitting",
    "Networks": "networks",
    "Recipe": "recipe",
    "find_recipe": "recipe",
    "fit": "fitting",
    "make_networks": "networks",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'bids_dtg.dynamics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bids_dtg.dynamics.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
