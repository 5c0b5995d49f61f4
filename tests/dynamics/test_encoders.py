"""The encoders' loop on the CPU, against the LSTM of PyTorch."""

from __future__ import annotations

import pytest
import torch

from bids_dtg.dynamics.encoders import Encoder, encode

PEOPLE, ITEMS, UNITS = 5, 7, 6


def plain(states, region, signals, one_hot):
    """Return what `encode` returns, by the layers that hold the weights."""
    whose = one_hot.expand(len(signals), -1, -1)
    inputs = torch.cat((signals.transpose(1, 2), whose), -1)
    every_frame, _ = states.lstm(inputs)
    _, (last, _) = region.lstm(inputs)
    return states.gaussian(every_frame), region.gaussian(torch.cat((*last,), -1))


# The region encoder's gradient vanishes within the longest series, but in none of the others.
@pytest.mark.parametrize("frames", [1, 2, 40, 400])
def test_units_and_gradients_are_those_of_pytorch(frames, one_thread):
    torch.manual_seed(0)
    states, region = Encoder(2 + PEOPLE, UNITS, 3), Encoder(2 + PEOPLE, UNITS, 2)
    signals = torch.randn(frames, 2, ITEMS)
    one_hot = torch.eye(PEOPLE)[torch.randint(PEOPLE, (ITEMS,))]
    weights = torch.randn(2, frames, ITEMS, 3), torch.randn(2, ITEMS, 2)
    learning = [
        p for p in (*states.parameters(), *region.parameters()) if p.requires_grad
    ]

    def run(form):
        gaussians = form(states, region, signals, one_hot)
        loss = sum(
            (gaussian.mean * mean + gaussian.log_variance * log_variance).sum()
            for gaussian, (mean, log_variance) in zip(gaussians, weights, strict=True)
        )
        return gaussians, loss.detach(), torch.autograd.grad(loss, learning)

    gaussians, loss, gradients = run(encode)
    expected, expected_loss, expected_gradients = run(plain)
    for ours, theirs in zip(gaussians, expected, strict=True):
        torch.testing.assert_close(ours.mean, theirs.mean, rtol=0, atol=1e-6)
        torch.testing.assert_close(
            ours.log_variance, theirs.log_variance, rtol=0, atol=1e-6
        )
    torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max())
        )
