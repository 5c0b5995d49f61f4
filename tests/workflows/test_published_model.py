"""The published form from its address to maps; and the first call without a model."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from hidden_packages import without
from maps_bundle import TINY_SHAPE, move_program_folders, tiny_masks
from maps_job import add_rest, warm_up
from model_host import ModelHost, add_model, nifti, publish, serve_alone

from bids_dtg.cli import models as models_cli
from bids_dtg.cli.run import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.registry import PUBLISHED
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.participant.model import obtain_bundle
from bids_dtg.errors import BundleError

RUN = [sys.executable, "-m", "bids_dtg.cli"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Serve models on this machine in GitHub's place, to a user who has none."""
    monkeypatch.delenv("DTG_MODEL_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    move_program_folders(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    host = ModelHost()
    with serve_alone(host, monkeypatch):
        yield host


@pytest.fixture
def small(host, monkeypatch):
    publish(monkeypatch, add_model(host))
    return host


class Terminal(io.StringIO):
    """Standard error as somebody sees it."""

    def isatty(self) -> bool:
        return True


def obtain_on_terminal(name: str, **options: bool):
    """Return the bundle and what was told; pytest sets its own stream before each test."""
    with redirect_stderr(Terminal()) as stream:
        bundle = obtain_bundle(name, **{"may_fetch": True, **options})
    return bundle, " ".join(stream.getvalue().split())


def call(*arguments: object) -> int:
    """Call the program; what it sets in the environment is set back."""
    environment = dict(os.environ)
    try:
        return main([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(environment)


@pytest.mark.slow
def test_somebody_who_looks_on_gets_the_model_that_is_named(small):
    bundle, told = obtain_on_terminal("hcp-ya")
    assert bundle.card.name == "hcp-ya"
    assert "the model hcp-ya is not on this machine yet" in told
    assert "HCP's data-use terms" in told
    requests = len(small.asked)
    again, told = obtain_on_terminal("hcp-ya")
    assert (again.identity, told) == (bundle.identity, "")
    assert len(small.asked) == requests


@pytest.mark.parametrize("case", ["no terminal", "dry run", "offline"])
def test_nothing_is_fetched_unasked(small, monkeypatch, case):
    obtain = obtain_bundle if case == "no terminal" else obtain_on_terminal
    if case == "offline":
        monkeypatch.setenv("DTG_OFFLINE", "1")
    with pytest.raises(BundleError, match="no model called 'hcp-ya'") as caught:
        obtain("hcp-ya", may_fetch=case != "dry run")
    for way in ("dtg-models fetch hcp-ya", "--model hcp-glasser"):
        assert way in str(caught.value)
    assert small.asked == []


def test_a_failed_fetch_says_why_and_both_ways_out(small):
    small.files.clear()
    with pytest.raises(BundleError) as caught:
        obtain_on_terminal("hcp-ya")
    message = str(caught.value)
    assert "hcp-ya is missing, and its download failed" in message
    for fact in ("HTTP 404", "dtg-models fetch hcp-ya", "--model hcp-glasser"):
        assert fact in message


def test_a_cache_that_cannot_be_written_is_no_failed_participant(small, tmp_path):
    (tmp_path / "cache").write_text("in the way", encoding="utf-8")
    with pytest.raises(
        BundleError, match=r"cannot be written: Not a directory.*--model hcp-glasser"
    ):
        obtain_on_terminal("hcp-ya")


@pytest.mark.parametrize("wanted", ["mine", "hcp", "demo2"])
def test_no_other_model_is_taken_instead(small, wanted):
    with pytest.raises(BundleError, match=f"no model called '{wanted}'"):
        obtain_on_terminal(wanted)
    assert small.asked == []


def test_the_program_ends_with_2_and_nothing_is_started(small, tmp_path, capsys):
    bids = describe_dataset(tmp_path / "fmriprep")
    add_rest(bids)
    assert call(bids, tmp_path / "out", "participant", "--model", "hcp-ya") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    ways = (
        "--model hcp-glasser, which comes with the program",
        "dtg-models fetch hcp-ya",
    )
    assert [err.index(way) for way in ways] == sorted(err.index(way) for way in ways)
    assert "demo" not in err
    assert not (tmp_path / "out").exists()


def eager_maps(checkpoint: Path, connectome: np.ndarray) -> np.ndarray:
    """Return the plain network's maps (contrasts, i, j, k) of a connectome (i, j, k, rois)."""
    import torch

    from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint

    volume = torch.from_numpy(np.ascontiguousarray(connectome.transpose(3, 0, 1, 2)))[
        None
    ]
    with torch.inference_mode():
        return read_lightning_checkpoint(checkpoint)(volume.float())[0].numpy()


def compare_with_eager(out: Path, checkpoint: Path, mask: np.ndarray) -> None:
    (path,) = out.rglob("*_stat-pearsoncorrelation_desc-connectome_statmap.nii.gz")
    connectome = nib.load(path).get_fdata()
    assert np.abs(connectome[mask]).max() > 0.3
    assert not connectome[~mask].any()
    expected = eager_maps(checkpoint, connectome)
    for contrast, eager in zip(hcp_contrasts(), expected, strict=True):
        (path,) = out.rglob(
            f"*_contrast-{contrast.label}_*desc-synthetic_statmap.nii.gz"
        )
        map_ = nib.load(path).get_fdata()
        assert eager[mask].std() > 1e-4  # ten times what may differ
        np.testing.assert_allclose(map_[mask], eager[mask], rtol=0, atol=1e-5)


def fetch_random_weights(capsys) -> None:
    """Fetch a model that was never trained: its self-check finds that, and nothing else."""
    assert models_cli.main(["fetch", "hcp-ya"]) == 2
    out = capsys.readouterr().out
    (failed,) = [line for line in out.splitlines() if line.startswith("  FAIL")]
    assert "differences have their sign" in failed
    assert "pass     prepared and eager agree" in out


@pytest.mark.slow
def test_a_checkpoint_of_the_published_form_becomes_maps(
    host, shared, tmp_path, monkeypatch, capsys
):
    """Fetched, verified, converted, run; against the plain network on the same connectome."""
    reference = shared / "reference" / "deeptaskgen" / "random_fdim8.ckpt"
    if not reference.is_file():
        pytest.skip(f"no {reference}")
    model = add_model(host, checkpoint=reference.read_bytes(), rois=50)
    publish(monkeypatch, model)
    fetch_random_weights(capsys)
    path = (
        "eminSerin/deeptaskgen-models/64cf419273251cfd63675b680df37f25b02600cb/hcp-ya/"
    )
    assert f"/{path}main_model_hcp-ya_010525.ckpt" in host.asked
    bids = describe_dataset(tmp_path / "fmriprep")
    add_rest(bids)
    warm_up()
    assert (
        call(bids, tmp_path / "out", "participant", "--write", "maps", "connectome")
        == 0
    )
    fetched = load_bundle("hcp-ya")
    assert fetched.grid.shape == TINY_SHAPE
    compare_with_eager(tmp_path / "out", reference, tiny_masks()[1])
    # PyTorch was needed to convert it, and is not for maps.
    words = [
        bids,
        tmp_path / "apart",
        "participant",
        "--model",
        fetched.path,
        "--write",
        "maps",
        "connectome",
    ]
    environment = without(tmp_path / "hidden", "torch", "lightning")
    done = subprocess.run(
        [*RUN, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    compare_with_eager(tmp_path / "apart", reference, tiny_masks()[1])


@pytest.mark.slow
def test_the_full_size_form_with_the_published_masks_becomes_maps(
    host, shared, tmp_path, monkeypatch, capsys
):
    """As above, with 3,450,865 weights, the published masks (by their ids) and a real run."""
    reference = shared / "reference" / "deeptaskgen" / "random_fdim64.ckpt"
    bids, mni = shared / "data/real/fmriprep_like", shared / "data/mni"
    if not reference.is_file() or not bids.is_dir():
        pytest.skip(f"no {reference} or {bids}")
    published = PUBLISHED["hcp-ya"]
    parts = [
        nib.load(mni / f"MNI_2mm_{kind}_mask_crop.nii.gz")
        for kind in ("cortical", "subcortical")
    ]
    grey = (parts[0].get_fdata() > 0) | (parts[1].get_fdata() > 0)
    brain = nib.load(mni / "MNI_2mm_brain_mask.nii")
    maps = np.random.default_rng(0).normal(size=(*brain.shape, 50)).astype(np.float32)
    host.add(nifti(grey.astype(np.float64), parts[0].affine), published.mask)
    host.add((mni / "MNI_2mm_brain_mask.nii").read_bytes(), published.brain_mask)
    model = replace(  # the masks stay as they are pinned
        published,
        checkpoint=host.add(reference.read_bytes(), published.checkpoint),
        maps=host.add(nifti(maps, brain.affine), published.maps),
    )
    publish(monkeypatch, model)
    fetch_random_weights(capsys)
    words = [
        "--participant-label",
        "HAPPYTEST",
        "--min-minutes",
        "2",
        "--write",
        "maps",
        "connectome",
    ]
    assert call(bids, tmp_path / "out", "participant", "--model", "hcp-ya", *words) == 0
    compare_with_eager(tmp_path / "out", reference, grey)
