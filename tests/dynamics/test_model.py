"""The model's pieces, against the original's outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sip_reference import Reference


@pytest.fixture(params=["AB", "AN"])
def reference(request, shared) -> Reference:
    return Reference.read(shared, request.param)


def test_encoders_are_the_originals(reference):
    posterior = reference.model().infer(reference.items())
    for part, mean, log_variance in (
        (posterior.states, "enc_xmu", "enc_xlv"),
        (posterior.region, "enc_tregmu", "enc_treglv"),
        (posterior.person, "enc_tsubmu", "enc_tsublv"),
    ):
        swap = part.mean.dim() == 3
        for ours, name in ((part.mean, mean), (part.log_variance, log_variance)):
            ours = ours.transpose(0, 1) if swap else ours
            np.testing.assert_allclose(
                ours.detach(), reference[name], rtol=0, atol=1e-5
            )


def test_transition_and_its_jacobian_are_the_originals(reference):
    model = reference.model()
    recipe = reference.recipe
    values = torch.tensor(reference["f_in"]).double()

    def change(row: torch.Tensor) -> torch.Tensor:
        sizes = (recipe.states, recipe.region_parameters, recipe.person_parameters, 1)
        state, region, person, network, *rest = row.split(
            (*sizes, 1) if recipe.external_inputs else sizes
        )
        external = rest[0].reshape(1, 1, 1) if rest else None
        return model.transition(
            state[None, None, None],
            region[None, None],
            person[None, None],
            network[None, None],
            external,
        )[0, 0, 0]

    moved = torch.stack([change(row) for row in values])
    np.testing.assert_allclose(moved.detach(), reference["f_out"], rtol=0, atol=1e-5)
    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(change, row) for row in values]
    )
    np.testing.assert_allclose(jacobian, reference["f_jac"], rtol=0, atol=1e-5)


def test_network_input_is_the_originals(shared):
    from bids_dtg.dynamics.networks import Networks

    arrays = Reference.read(shared, "AB").arrays
    networks = Networks(
        ("a", "b", "c"),
        tuple(map(str, range(68))),
        arrays["y"],
        0.72,
        weights=arrays["w"],
    )
    np.testing.assert_allclose(
        networks.network_input, arrays["u_net"], rtol=0, atol=1e-5
    )
