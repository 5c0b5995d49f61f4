"""Tensors prepared for training: rows of the output layer, and new output layers."""

from __future__ import annotations

import torch

from bids_dtg.contrasts.network.kind import with_new_outputs, with_outputs_of, with_rows
from bids_dtg.contrasts.network.unet import AttentionUNet

X = torch.randn(1, 3, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def arrays(state):
    return {name: tensor.numpy() for name, tensor in state.items()}


def maps(state, contrasts):
    network = AttentionUNet(3, contrasts, features=4)
    network.load_state_dict(
        {name: torch.as_tensor(values) for name, values in state.items()}
    )
    with torch.no_grad():
        return network.eval()(X)


def test_rows_predict_what_they_did_and_are_put_back():
    state = AttentionUNet(3, 5, features=4).state_dict()
    cut = with_rows(state, [3, 1])
    torch.testing.assert_close(maps(cut, 2), maps(state, 5)[:, [3, 1]])
    whole = with_outputs_of(arrays(cut), arrays(state), [3, 1])
    torch.testing.assert_close(maps(whole, 5), maps(state, 5))
    cut["out_block.1.bias"] += 1  # what was learnt goes to its rows alone
    moved = with_outputs_of(arrays(cut), arrays(state), [3, 1])
    moved = maps(moved, 5) - maps(state, 5)
    torch.testing.assert_close(
        moved.mean(dim=(0, 2, 3, 4)), torch.tensor([0.0, 1, 0, 1, 0])
    )
    cut["in_block.conv.0.weight"] += 1  # tuned: what it came from stays as it was
    assert not torch.equal(
        cut["in_block.conv.0.weight"], state["in_block.conv.0.weight"]
    )


def test_new_outputs_keep_all_that_comes_before():
    state = AttentionUNet(3, 5, features=4).state_dict()
    new = with_new_outputs(state, 2, seed=1)
    assert maps(new, 2).shape[1] == 2
    assert torch.equal(
        new["out_block.1.weight"], with_new_outputs(state, 2, 1)["out_block.1.weight"]
    )
    assert torch.equal(
        new["bottleneck.conv.0.weight"], state["bottleneck.conv.0.weight"]
    )
