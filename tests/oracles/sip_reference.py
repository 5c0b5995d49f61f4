"""Weights, inputs and outputs of the authors' code (`shared/sip/reference.npz`), by our names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.objective import Noise
from bids_dtg.dynamics.recipe import RECIPES, Recipe

_AB = replace(RECIPES["published"])
RECIPES_BY_PREFIX = {
    "AB": _AB,
    "AN": replace(
        _AB, states=2, region_parameters=2, external_inputs=0, person_penalty=1.0
    ),
}
_DIRECTIONS = {"fw": "l0", "bw": "l0_reverse"}


@dataclass(frozen=True)
class Reference:
    """One of the two models."""

    arrays: dict[str, NDArray]
    prefix: str

    @classmethod
    def read(cls, shared: Path, prefix: str) -> Reference:
        with np.load(shared / "sip" / "reference.npz") as arrays:
            return cls(dict(arrays), prefix)

    @property
    def recipe(self) -> Recipe:
        return RECIPES_BY_PREFIX[self.prefix]

    def __getitem__(self, name: str) -> NDArray:
        return self.arrays[f"{self.prefix}_{name}"]

    def model(self) -> NetworkModel:
        model = NetworkModel(self.recipe, people=3, regions=68, frames=200)
        model.load_state_dict(self.state(""), strict=True)
        return model.double()

    def state(self, prefix: str) -> dict[str, torch.Tensor]:
        """Weights (of = "") or gradients ("grad_"), by our names."""

        def take(name: str) -> torch.Tensor:
            return torch.tensor(np.asarray(self[prefix + name]))

        state = {
            "transition.hidden.weight": take("f_W1").T,
            "transition.hidden.bias": take("f_b1"),
            "transition.out.weight": take("f_W2").T,
            "transition.out.bias": take("f_b2"),
            "observation.weight": take("Ap"),
            "observation.bias": take("bp"),
            "state_log_variance": take("slv"),
            "observation_log_variance": take("olv"),
            "person_table": take("tsub"),
        }
        if self.recipe.external_inputs:
            state |= {"log_tau": take("logtau"), "external_table": take("us")}
        for ours, theirs in (("state_encoder", "state"), ("region_encoder", "param")):
            state[f"{ours}.out.weight"] = take(f"{theirs}_dense_kernel").T
            state[f"{ours}.out.bias"] = take(f"{theirs}_dense_bias")
            for word, suffix in _DIRECTIONS.items():
                bias = take(f"{theirs}_{word}_bias")
                kernel = take(f"{theirs}_{word}_kernel")
                recurrent = take(f"{theirs}_{word}_recurrent")
                state[f"{ours}.lstm.weight_ih_{suffix}"] = kernel.T
                state[f"{ours}.lstm.weight_hh_{suffix}"] = recurrent.T
                state[f"{ours}.lstm.bias_ih_{suffix}"] = bias
                state[f"{ours}.lstm.bias_hh_{suffix}"] = torch.zeros_like(bias)
        return state

    def items(self) -> Items:
        series, network = self["batch_y"][..., 0].T, self["batch_u"].T
        return Items(
            torch.tensor(series).double(),
            torch.tensor(network).double(),
            torch.tensor(self["batch_subject"]).long(),
        )

    def noise(self) -> Noise:
        external = self["eps_us"] if self.recipe.external_inputs else None
        return Noise(
            states=self.by_sample(self["eps_x"]).permute(2, 0, 1, 3),
            region=self.by_sample(self["eps_treg"]),
            person=self.by_sample(self["eps_tsub"]),
            external=None
            if external is None
            else self.by_sample(external).permute(2, 0, 1),
        )

    @staticmethod
    def by_sample(rows: NDArray, samples: int = 3) -> torch.Tensor:
        """Rows item by item become (samples, items, ...)."""
        values = torch.tensor(rows).double()
        return values.reshape(-1, samples, *values.shape[1:]).transpose(0, 1)
