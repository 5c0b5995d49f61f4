from functools import partial

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint
from bids_dtg.contrasts.network.blocks_plan import BlockPlan
from bids_dtg.contrasts.network.dense import DensePlan
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import PreparedUNet, Way
from bids_dtg.contrasts.network.prepared import prepare as prepare_parameters
from bids_dtg.contrasts.network.unet import AttentionUNet

PLANS = ["dense", "slabs", "blocks"]


pytestmark = pytest.mark.usefixtures("one_thread")


def prepare(network, mask, **options):
    return prepare_parameters(Parameters.of(network), mask, **{"threads": 1, **options})


# Cuts small grids into several slabs, the last of them thinner.
prepare_thin = partial(prepare, slab_planes=3)


def random_network(seed, features=4, levels=1, rois=5, contrasts=3):
    """A network whose batch norms are not trivial, so that folding them matters."""
    torch.manual_seed(seed)
    network = AttentionUNet(rois, contrasts, features, levels)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.3)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def eager(network, mask, connectome):
    grid = torch.zeros(1, len(connectome), *mask.shape)
    grid[0, :, torch.from_numpy(mask)] = torch.from_numpy(connectome)
    with torch.inference_mode():
        return network(grid)[0].numpy()[:, mask]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("checkpoint", "case"),
    [
        ("random_fdim64.ckpt", "random_fdim64_io.npz"),
        ("random_fdim8.ckpt", "random_fdim8_io.npz"),
        ("random_fdim8.ckpt", "random_fdim8_masked_io.npz"),
    ],
)
def test_prepared_form_equals_the_original(shared, plan, checkpoint, case):
    folder = shared / "reference" / "deeptaskgen"
    arrays = dict(np.load(folder / case))
    mask = arrays.get("mask", np.ones(arrays["x"].shape[1:], dtype=bool))
    prepared = prepare_thin(
        read_lightning_checkpoint(folder / checkpoint), mask, plan=plan
    )
    maps = prepared.predict(arrays["x"][:, mask])
    np.testing.assert_allclose(maps, arrays["y"][:, mask], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 1000),
    levels=st.integers(0, 2),
    extra=st.tuples(*[st.integers(0, 15)] * 3),
    share=st.sampled_from([0.001, 0.03, 0.3, 1.0]),
    clustered=st.booleans(),
)
def test_prepared_form_equals_eager(plan, seed, levels, extra, share, clustered):
    rng = np.random.default_rng(seed)
    shape = tuple(2 ** (levels + 1) + added for added in extra)
    if clustered:  # one box somewhere, at times at the border
        corner = [rng.integers(n) for n in shape]
        mask = np.zeros(shape, dtype=bool)
        mask[
            tuple(
                slice(c, c + 1 + int(n * share))
                for c, n in zip(corner, shape, strict=True)
            )
        ] = 1
    else:
        mask = rng.random(shape) < share
        mask.flat[rng.integers(mask.size)] = True
    network = random_network(seed, levels=levels)
    connectome = rng.uniform(-1, 1, (5, np.count_nonzero(mask))).astype(np.float32)
    maps = prepare_thin(network, mask, plan=plan).predict(connectome)
    np.testing.assert_allclose(
        maps, eager(network, mask, connectome), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("plan", PLANS)
def test_predicting_twice_gives_the_same_bytes_and_leaves_the_network_alone(plan):
    network = random_network(1, features=8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mask = np.random.default_rng(0).random((13, 9, 10)) < 0.3
    connectome = (
        np.random.default_rng(1).normal(size=(5, mask.sum())).astype(np.float32)
    )
    prepared = prepare_thin(network, mask, plan=plan)
    first = prepared.predict(connectome)
    assert first.dtype == np.float32
    assert first.tobytes() == prepared.predict(connectome).tobytes()
    assert all(
        torch.equal(before[name], value) for name, value in network.state_dict().items()
    )


def test_blocks_give_the_same_bytes_on_any_number_of_threads():
    network = random_network(2, features=8)
    mask = np.random.default_rng(0).random((25, 12, 14)) < 0.3
    connectome = (
        np.random.default_rng(1).normal(size=(5, mask.sum())).astype(np.float32)
    )
    alone, three = (
        prepare(network, mask, threads=threads).predict(connectome)
        for threads in (1, 3)
    )
    assert three.tobytes() == alone.tobytes()


@pytest.mark.parametrize(("plan", "kind"), [("auto", BlockPlan), ("dense", DensePlan)])
def test_processor_takes_the_blocks_plan_unless_reported_otherwise(plan, kind):
    prepared = prepare(random_network(0), np.ones((8, 8, 8), dtype=bool), plan=plan)
    assert isinstance(prepared._plan, kind)


class FullDevice:
    """A plan whose device is full for the first calls, or for all."""

    def __init__(self, plan, calls, error):
        self.plan = plan
        self.calls = calls
        self.error = error

    def predict(self, connectome):
        if self.calls > 0:
            self.calls -= 1
            raise self.error
        return self.plan.predict(connectome)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_too_little_memory_leads_to_the_next_plan_for_good(error):
    network, mask = (
        random_network(4),
        np.random.default_rng(0).random((13, 9, 10)) < 0.3,
    )
    connectome = (
        np.random.default_rng(1).normal(size=(5, mask.sum())).astype(np.float32)
    )
    parameters, reported = Parameters.of(network), []
    ways = [
        Way(
            "first",
            "cpu",
            lambda: FullDevice(DensePlan(parameters, mask, "cpu"), 1, error),
        ),
        Way(
            "second",
            "cpu",
            lambda: FullDevice(DensePlan(parameters, mask, "cpu", 4), 0, error),
        ),
        Way("third", "cpu", lambda: pytest.fail("there was memory")),
    ]
    prepared = PreparedUNet(ways, (5, int(mask.sum())), reported.append)
    expected = eager(network, mask, connectome)
    for _ in range(2):
        np.testing.assert_allclose(
            prepared.predict(connectome), expected, rtol=0, atol=1e-5
        )
    assert reported == [
        "cpu has too little memory for the first: going on with the second on cpu"
    ]


def test_a_full_gpu_leaves_the_work_to_the_processor(monkeypatch):
    reported = []

    def full(_network, device):
        assert device.type == "cuda"
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    mask = np.ones((8, 8, 8), dtype=bool)
    prepared = prepare(random_network(0), mask, device="cuda", report=reported.append)
    assert isinstance(prepared._plan, BlockPlan)
    assert reported == [
        "cuda has too little memory for the plan of whole grids: "
        "going on with the plan of slabs on cuda",
        "cuda has too little memory for the plan of slabs: going on with the plan of blocks on cpu",
    ]
    prepared.predict(np.zeros((5, 512), np.float32))


def test_other_errors_and_the_last_way_are_not_hidden():
    full = torch.cuda.OutOfMemoryError("full")
    bug = RuntimeError("sizes do not match")
    for ways, error in ((1, full), (2, bug)):
        plans = [
            Way("one", "cpu", lambda error=error: FullDevice(None, 9, error))
        ] * ways
        prepared = PreparedUNet(plans, (5, 512), pytest.fail)
        with pytest.raises(RuntimeError, match=str(error)):
            prepared.predict(np.zeros((5, 512), np.float32))


@pytest.mark.slow
def test_published_size_in_slabs(shared):
    parts = [
        shared / f"data/mni/MNI_2mm_{p}_mask_crop.nii.gz"
        for p in ("cortical", "subcortical")
    ]
    mask = np.any([np.asanyarray(nib.load(part).dataobj) > 0 for part in parts], axis=0)
    network = random_network(0, features=64, rois=50, contrasts=47)
    connectome = np.random.default_rng(0).uniform(-1, 1, (50, np.count_nonzero(mask)))
    prepared_networks = [
        prepare(network, mask, plan=plan) for plan in ("slabs", "blocks")
    ]
    by_slabs, by_blocks = (
        prepared.predict(connectome.astype(np.float32))
        for prepared in prepared_networks
    )
    np.testing.assert_allclose(by_slabs, by_blocks, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_published_size_on_the_real_mask(shared):
    parts = [
        shared / f"data/mni/MNI_2mm_{p}_mask_crop.nii.gz"
        for p in ("cortical", "subcortical")
    ]
    mask = np.any([np.asanyarray(nib.load(part).dataobj) > 0 for part in parts], axis=0)
    network = random_network(0, features=64, rois=50, contrasts=47)
    rng = np.random.default_rng(0)
    connectome = rng.uniform(-1, 1, (50, np.count_nonzero(mask))).astype(np.float32)
    maps = prepare(network, mask).predict(connectome)
    np.testing.assert_allclose(
        maps, eager(network, mask, connectome), rtol=0, atol=1e-5
    )


def test_wrong_shapes_are_named():
    network = random_network(0)
    mask = np.ones((8, 8, 8), dtype=bool)
    with pytest.raises(ValueError, match=r"\(5, 511\), expected \(5, 512\)"):
        prepare(network, mask).predict(np.zeros((5, 511), dtype=np.float32))
    with pytest.raises(ValueError, match="0 voxels"):
        prepare(network, ~mask)
    with pytest.raises(ValueError, match="uint8"):
        prepare(network, mask.astype(np.uint8))
    with pytest.raises(ValueError, match="at least 4"):
        prepare(network, mask[:3])
