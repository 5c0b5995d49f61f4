from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.contrasts.losses import contrastive_loss, crr_loss

REFERENCE = (
    Path(os.environ.get("DTG_SHARED", "../shared")) / "reference" / "deeptaskgen"
)
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(),
    reason=f"reference cases are not at {REFERENCE} (DTG_SHARED)",
)


def maps(seed: int, people: int = 4, scale: float = 1.0, offset: float = 0.0):
    generator = torch.Generator().manual_seed(seed)
    shape = (people, 3, 4, 5, 2)
    pred, true = (torch.randn(shape, generator=generator) for _ in range(2))
    return pred * scale + offset, true * scale + offset


def plain_contrastive(pred, true, mask=None):
    """Write C out pair by pair, in float64."""
    pred, true = pred.double(), true.double()
    if mask is not None:
        pred, true = pred[..., mask], true[..., mask]
    pairs = [(i, j) for i in range(len(pred)) for j in range(i + 1, len(pred))]
    return sum(float((pred[i] - true[j]).square().mean()) for i, j in pairs) / len(
        pairs
    )


@needs_reference
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("name", "alpha", "margin"),
    [
        ("cases", 0.25, 1.0),
        ("cases", 0.1, 0.2),
        ("cases", 1.0, 4.0),
        ("crr_active", 0.25, 1.0),
        ("crr_active", 0.1, 0.2),
        ("crr_active", 1.0, 0.5),
    ],
)
def test_crr_equals_the_original(name, alpha, margin, masked):
    with np.load(REFERENCE / f"{name}.npz") as case:
        pred, true, mask = (
            torch.from_numpy(case[f"loss_{k}"]) for k in ("pred", "true", "mask")
        )
        expected = float(
            case[f"crr_{'masked_' if masked else ''}alpha{alpha}_margin{margin}"]
        )
    loss = crr_loss(pred, true, mask if masked else None, alpha=alpha, margin=margin)
    assert float(loss) == pytest.approx(expected, abs=1e-5)


@needs_reference
@pytest.mark.parametrize("name", ["cases", "crr_active"])
def test_contrastive_equals_the_original(name):
    with np.load(REFERENCE / f"{name}.npz") as case:
        pred, true = (torch.from_numpy(case[f"loss_{k}"]) for k in ("pred", "true"))
        expected = float(case["contrastive"])
    assert float(contrastive_loss(pred, true)) == pytest.approx(expected, abs=1e-5)


@given(
    seed=st.integers(0, 2**31),
    people=st.integers(2, 7),
    scale=st.floats(0.01, 100),
    offset=st.floats(-1000, 1000),
)
@settings(max_examples=40, deadline=None)
def test_contrastive_equals_the_plain_sum_over_pairs(seed, people, scale, offset):
    # The offset is what a product |p|² + |t|² - 2 p·t without centring would lose.
    pred, true = maps(seed, people, scale, offset)
    expected = plain_contrastive(pred, true)
    assert float(contrastive_loss(pred, true)) == pytest.approx(expected, rel=1e-4)


def test_only_voxels_of_the_mask_count():
    pred, true = maps(1)
    mask = torch.zeros(4, 5, 2, dtype=torch.bool)
    mask[1:3, 2:] = True
    elsewhere = pred + 100 * (~mask)
    assert float(crr_loss(elsewhere, true, mask)) == pytest.approx(
        float(crr_loss(pred, true, mask)), rel=1e-6
    )
    assert float(contrastive_loss(pred, true, mask)) == pytest.approx(
        plain_contrastive(pred, true, mask), rel=1e-5
    )


def test_pairs_are_ordered_prediction_first():
    pred, true = maps(3, people=2)
    expected = float((pred[0] - true[1]).square().mean())
    assert float(contrastive_loss(pred, true)) == pytest.approx(expected, rel=1e-5)


def test_open_hinge_pulls_away_from_others_and_closed_hinge_does_not():
    pred, true = maps(4)
    pred = (true + 0.1 * pred).requires_grad_()
    plain = torch.autograd.grad((pred - true).square().mean(), pred)[0]
    closed = torch.autograd.grad(crr_loss(pred, true, alpha=0.5, margin=-50.0), pred)[0]
    opened = torch.autograd.grad(crr_loss(pred, true, alpha=0.5, margin=50.0), pred)[0]
    torch.testing.assert_close(closed, plain)
    assert not torch.allclose(opened, plain, atol=1e-4)


def test_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(5)
    pred, true = (
        torch.randn((3, 2, 2, 2, 1), generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: crr_loss(p, true, margin=5.0), (pred,))
    assert torch.autograd.gradcheck(lambda p: contrastive_loss(p, true), (pred,))


def test_half_precision_and_autocast_are_summed_in_float32():
    pred, true = maps(6, offset=50.0)
    pred, true = pred.bfloat16(), true.bfloat16()
    expected = plain_contrastive(pred, true)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = contrastive_loss(pred, true)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", [crr_loss, contrastive_loss])
def test_refuses_what_it_cannot_compare(loss):
    pred, true = maps(7)
    with pytest.raises(ValueError, match="at least 2, found 1"):
        loss(pred[:1], true[:1])
    with pytest.raises(ValueError, match=r"\(4, 3, 4, 5, 2\) and \(3, 3, 4, 5, 2\)"):
        loss(pred, true[:3])
    with pytest.raises(ValueError, match=r"\(4, 5, 2\), found \(5, 4, 2\)"):
        loss(pred, true, torch.ones(5, 4, 2))
    with pytest.raises(ValueError, match="no voxel"):
        loss(pred, true, torch.zeros(4, 5, 2))
