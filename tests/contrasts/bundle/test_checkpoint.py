import argparse
import decimal
import io
import pickle
import sys
import tracemalloc
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from bids_dtg.bundles.checkpoint import read_lightning_checkpoint
from bids_dtg.contrasts.bundle.checkpoint import read_parameters
from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.errors import BundleError


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return AttentionUNet(5, 3, features=4, levels=1).state_dict()


def saved(tmp_path, state, **entries):
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": state, "epoch": 3, **entries}, path)
    return path


def test_published_format(shared):
    network = read_lightning_checkpoint(
        shared / "reference/deeptaskgen/random_fdim64.ckpt"
    )
    sizes = (
        network.in_channels,
        network.out_channels,
        network.features,
        network.levels,
    )
    assert sizes == (50, 47, 64, 1)
    assert not network.training


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_sizes_and_values_are_those_of_the_tensors(tmp_path, levels):
    wanted = AttentionUNet(6, 2, features=3, levels=levels).state_dict()
    network = read_lightning_checkpoint(saved(tmp_path, wanted))
    state = network.state_dict()
    assert (network.features, network.levels) == (3, levels)
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("prefix", ["model.", "net.", "module._orig_mod."])
def test_prefix_is_removed_and_other_keys_are_left_out(tmp_path, tensors, prefix):
    state = {prefix + name: value for name, value in tensors.items()}
    network = read_lightning_checkpoint(
        saved(tmp_path, {**state, "loss.weight": torch.ones(2)})
    )
    assert torch.equal(
        network.in_block.conv[0].weight, tensors["in_block.conv.0.weight"]
    )


@pytest.mark.parametrize(
    ("name", "value", "fact"),
    [
        ("upscale.1.bias", None, "upscale.1.bias missing"),
        ("in_block.conv.0.weight", None, "in_block.conv.0.weight"),
        ("downs.0.conv.0.weight", None, "downs.0.conv.0.bias unknown|differ"),
        ("extra.weight", torch.ones(2), "extra.weight unknown"),
        (
            "upscale.0.bias",
            torch.ones(3),
            r"upscale.0.bias has shape \(3,\), not \(8,\)",
        ),
        (
            "in_block.conv.0.weight",
            torch.ones(3),
            r"in_block.conv.0.weight has shape \(3,\)",
        ),
        (
            "upscale.0.bias",
            torch.ones(8, dtype=torch.int64),
            "upscale.0.bias has type int64, not float32",
        ),
        (
            "upscale.0.bias",
            torch.full((8,), torch.nan),
            "upscale.0.bias has values .* not finite",
        ),
        ("upscale.0.bias", [1.0], "upscale.0.bias is list"),
    ],
)
def test_wrong_tensors_are_named_with_the_file(tmp_path, tensors, name, value, fact):
    state = {**tensors, name: value}
    if value is None:
        del state[name]
    path = saved(tmp_path, state)
    with pytest.raises(BundleError, match=rf"{path.name}.*({fact})") as caught:
        read_lightning_checkpoint(path)
    assert "\n" not in str(caught.value)


class _Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return (Path.touch, (self.victim,))


def test_pickled_code_is_refused_and_not_run(tmp_path, tensors):
    victim = tmp_path / "created"
    path = saved(tmp_path, tensors, hyper_parameters={"loss": _Attack(victim)})
    with pytest.raises(
        BundleError, match=r"model.ckpt holds pickled objects"
    ) as caught:
        read_lightning_checkpoint(path)
    assert not victim.exists()
    assert "\n" not in str(caught.value)
    torch.load(path, weights_only=False)
    assert victim.exists(), "the attack would have worked"


def test_hyperparameters_of_a_training_become_inert(tmp_path, tensors):
    """As Lightning keeps them: functions, classes and objects by their names."""
    training = {
        "loss_fn": torch.nn.functional.mse_loss,
        "optimizer": torch.optim.Adam,
        "activation": torch.nn.ReLU(inplace=True),
        "args": argparse.Namespace(lr=0.001, loss=torch.nn.MSELoss()),
    }
    path = saved(tmp_path, tensors, hyper_parameters=training)
    content = path.read_bytes()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    network = read_lightning_checkpoint(path)
    assert torch.equal(network.out_block[1].bias, tensors["out_block.1.bias"])
    # The permission does not outlive the reading.
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize("value", [decimal.Decimal, zipfile.ZipFile])
def test_hyperparameters_of_other_modules_are_refused_by_name(tmp_path, tensors, value):
    path = saved(tmp_path, tensors, hyper_parameters={"value": value})
    with pytest.raises(
        BundleError, match=rf"objects \({value.__module__}\.{value.__name__}\)"
    ):
        read_lightning_checkpoint(path)


def test_hyperparameters_of_code_that_is_not_here_are_not_imported(
    tmp_path, tensors, monkeypatch
):
    module = types.ModuleType("deeptaskgen")

    def corrcoef():
        raise AssertionError("called")

    corrcoef.__module__, corrcoef.__qualname__ = module.__name__, "corrcoef"
    module.corrcoef = corrcoef
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path = saved(tmp_path, tensors, hyper_parameters={"add_loss": corrcoef})
    monkeypatch.delitem(sys.modules, module.__name__)
    read_lightning_checkpoint(path)
    assert module.__name__ not in sys.modules


@pytest.mark.parametrize(
    "name", ["posix.system", "builtins.eval", "torch.nn.x\nposix.system"]
)
def test_only_a_trainings_modules_become_inert(tmp_path, tensors, name):
    module, _, function = name.rpartition(".")
    attack = f"c{module}\n{function}\n(S'touch {tmp_path}/created'\ntR.".encode()
    path = saved(tmp_path, tensors)
    replaced = tmp_path / "attack.ckpt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(replaced, "w") as target:
        for item in source.namelist():
            evil = item.endswith("/data.pkl")
            target.writestr(item, attack if evil else source.read(item))
    with pytest.raises(BundleError, match=r"attack\.ckpt"):
        read_lightning_checkpoint(replaced)
    assert not (tmp_path / "created").exists()


def test_bare_pickle_is_refused_and_not_run(tmp_path):
    victim, path = tmp_path / "created", tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps(_Attack(victim)))
    with pytest.raises(BundleError, match=r"model.ckpt is damaged or not a checkpoint"):
        read_lightning_checkpoint(path)
    assert not victim.exists()


@pytest.mark.parametrize("bytes_kept", [0, 100, -1000, -10])
def test_truncated_file(tmp_path, tensors, bytes_kept):
    path = saved(tmp_path, tensors)
    path.write_bytes(path.read_bytes()[:bytes_kept])
    with pytest.raises(BundleError, match=r"model.ckpt is damaged"):
        read_lightning_checkpoint(path)


def test_flipped_bytes_in_the_weights(tmp_path, tensors):
    path = saved(tmp_path, tensors)
    content = bytearray(path.read_bytes())
    middle = content.find(tensors["ups.0.conv.0.weight"].numpy().tobytes())
    content[middle] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model.ckpt is damaged"):
        read_lightning_checkpoint(path)


def test_a_compressed_checkpoint_is_refused_before_it_grows(tmp_path, tensors):
    path, bomb = saved(tmp_path, tensors), tmp_path / "bomb.ckpt"
    with (
        zipfile.ZipFile(path) as source,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for item in source.namelist():
            target.writestr(item, source.read(item))
    with pytest.raises(BundleError, match=r"bomb\.ckpt is damaged or not a checkpoint"):
        read_lightning_checkpoint(bomb)


class _Tensor:
    """Is pickled as a tensor of any sizes, over a storage or over another tensor."""

    def __init__(self, shape, steps, storage=None):
        self.arguments = (storage or _Storage(), 0, shape, steps, False, OrderedDict())

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.arguments


class _Storage:
    """Is pickled as a reference to the file's only storage."""


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        is_storage = isinstance(value, _Storage)
        return ("storage", torch.FloatStorage, "0", "cpu", 4) if is_storage else None


def pickled(value) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def written(path: Path, content: bytes, values=4, times=1) -> Path:
    """Write a checkpoint with a pickle and a storage, which the file may list several times."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", bytes(4 * values))
        archive.filelist.extend([archive.filelist[-1]] * (times - 1))
    return path


FLAT = {"shape": (4,), "steps": (1,)}


@pytest.mark.parametrize(
    "tensor",
    [
        _Tensor((5,), (1,)),
        _Tensor((2, 2), (3, 1)),
        _Tensor((10**9,), (0,)),
        _Tensor((10**9,), (1,), _Tensor((10**9,), (0,))),
        _Tensor((2, 2), (2, 1), _Tensor((2, 2), (2, 1))),
        _Tensor((1,), (2**80,)),
        _Tensor((2**80, 0), (1, 1)),
        _Tensor((4,), (-1,)),
    ],
    ids=["long", "beside", "grown", "nested", "square", "far", "wide", "backwards"],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, tensor):
    with pytest.raises(
        BundleError, match=r"whole.ckpt has no state_dict"
    ):  # its tensor is read
        read_parameters(written(tmp_path / "whole.ckpt", pickled([_Tensor(**FLAT)])))
    with pytest.raises(BundleError, match=r"model.ckpt is damaged"):
        read_parameters(written(tmp_path / "model.ckpt", pickled([tensor])))


def test_storages_that_overlap_are_refused(tmp_path):
    content = pickled([_Tensor(**FLAT)])
    with pytest.raises(BundleError, match=r"model.ckpt is damaged"):
        read_parameters(
            written(tmp_path / "model.ckpt", content, values=1000, times=50)
        )


@pytest.mark.parametrize(
    "content",
    [
        pickled([_Tensor(**FLAT) for _ in range(200)]),
        b"\x80\x02K\x01r" + (2**25).to_bytes(4, "little") + b".",
    ],
    ids=["one storage many times", "a large number in the memo"],
)
def test_a_small_checkpoint_needs_little_memory(tmp_path, content):
    path = written(tmp_path / "model.ckpt", content, values=250_000)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=r"model.ckpt has no state_dict"):
            read_parameters(path)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()


def test_missing_file_and_missing_state_dict(tmp_path):
    with pytest.raises(BundleError, match=r"absent.ckpt is not a file"):
        read_lightning_checkpoint(tmp_path / "absent.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(BundleError, match=r"list.ckpt has no state_dict"):
        read_lightning_checkpoint(tmp_path / "list.ckpt")
