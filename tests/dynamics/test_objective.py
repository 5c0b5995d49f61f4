"""The terms of the ELBO and their gradients, against the original's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sip_reference import Reference

from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.objective import STATE_PENALTY, Terms, loss_of, terms_of


@pytest.fixture(params=["AB", "AN"])
def reference(request, shared) -> Reference:
    return Reference.read(shared, request.param)


def _terms(model: NetworkModel, reference: Reference) -> Terms:
    items = reference.items()
    return terms_of(model, items, model.infer(items), reference.noise())


def test_each_term_is_the_originals(reference):
    terms = _terms(reference.model(), reference)
    expected = {
        "observation": reference["t_logp_y"],
        "state_prior": reference["t_logp_x"],
        "state_entropy": -reference["t_logq_x"],
        "region_kl": reference["t_kl_reg"],
        "person_kl": reference["t_kl_sub"] * reference.recipe.person_penalty,
        "state_squares": reference["t_xpen"] / STATE_PENALTY,
    }
    if reference.recipe.external_inputs:
        expected["external"] = (reference["t_logp_us"] - reference["t_logq_us"]) / 68
    for name, rows in expected.items():
        term = getattr(terms, name).detach()
        wanted = reference.by_sample(rows)
        np.testing.assert_allclose(
            term.expand_as(wanted), wanted, rtol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_elbo_and_loss_are_the_originals(reference, weight):
    model = reference.model()
    terms = _terms(model, reference)
    elbo = terms.elbo(1.0, weight).detach()
    np.testing.assert_allclose(elbo.T, reference[f"elbo_betap{weight}"], rtol=1e-6)
    loss = loss_of(model, terms, 1.0, weight).item()
    assert loss == pytest.approx(float(reference[f"loss_betap{weight}"]), rel=1e-6)


def test_gradients_are_the_originals(reference):
    model = reference.model()
    loss_of(model, _terms(model, reference), 1.0, 0.3).backward()
    expected = reference.state("grad_")
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            wanted = expected[name].double()
            scale = float(wanted.abs().max())
            torch.testing.assert_close(
                parameter.grad,
                wanted,
                rtol=2e-4,
                atol=2e-4 * scale,
                msg=lambda m, n=name: n + m,
            )
