import numpy as np
import pytest
import torch

from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint
from bids_dtg.contrasts.network.unet import AttentionUNet

CASES = [
    ("random_fdim64.ckpt", "random_fdim64_io.npz"),
    ("random_fdim8.ckpt", "random_fdim8_io.npz"),
    ("random_fdim8.ckpt", "random_fdim8_masked_io.npz"),
]


@pytest.mark.parametrize(("checkpoint", "case"), CASES)
def test_eager_network_equals_the_original(shared, checkpoint, case):
    folder = shared / "reference" / "deeptaskgen"
    network = read_lightning_checkpoint(folder / checkpoint)
    arrays = np.load(folder / case)
    with torch.inference_mode():
        maps = network(torch.from_numpy(arrays["x"])[None])[0].numpy()
    np.testing.assert_allclose(maps, arrays["y"], rtol=0, atol=1e-5)


def test_published_sizes_give_the_published_number_of_parameters():
    network = AttentionUNet(50, 47)
    assert sum(p.numel() for p in network.parameters()) == 3_450_865


def test_gate_scales_the_projected_skip():
    gate = AttentionUNet(2, 1, features=3, levels=0).attention_gates[0]
    with torch.no_grad():
        gate.psi[0].weight.zero_()
        gate.psi[0].bias.zero_()
        skip = torch.randn(1, 3, 4, 4, 4)
        gated = gate(torch.randn(1, 3, 5, 5, 5), skip)
        torch.testing.assert_close(gated, 0.5 * gate.W_x(skip))


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_odd_shapes_keep_their_size(levels):
    network = AttentionUNet(3, 2, features=2, levels=levels).eval()
    assert network(torch.zeros(2, 3, 9, 11, 13)).shape == (2, 2, 9, 11, 13)


def test_names_of_the_levels():
    names = AttentionUNet(3, 2, features=2, levels=2).state_dict().keys()
    blocks = {name.rsplit(".conv", 1)[0] for name in names if ".conv.0.weight" in name}
    assert blocks == {
        *(
            "in_block",
            "downs.0",
            "downs.1",
            "bottleneck",
            "ups.0",
            "ups.1",
            "out_block.0",
        )
    }
    assert {
        "upscale.2.bias",
        "attention_gates.2.psi.0.weight",
        "out_block.1.bias",
    } <= set(names)


@pytest.mark.parametrize("shape", [(1, 3, 3, 8, 8), (1, 4, 8, 8, 8), (3, 8, 8, 8)])
def test_wrong_input_shape_is_named(shape):
    network = AttentionUNet(3, 2, features=2)
    with pytest.raises(ValueError, match=rf"{shape[0]}, {shape[1]}.*at least 4"):
        network(torch.zeros(shape))
