from __future__ import annotations

import os

import nibabel as nib
import numpy as np
import pytest
import torch
from maps_bundle import (
    TINY_AFFINE,
    TINY_SHAPE,
    move_program_folders,
    tiny_masks,
    tiny_network,
    write_tiny_bundle,
)
from maps_kinds import PLACES, ROIS, write_tiny_kind
from model_host import (
    TRANSFORM,
    ModelHost,
    add_model,
    pin_transform,
    publish,
    serve_alone,
)

from bids_dtg.cli.models import main
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.linear import LinearModel, tensors_of


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Make an empty model folder, the only one that is looked in."""
    move_program_folders(monkeypatch, tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    monkeypatch.setenv("DTG_MODEL_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def convert_arguments(tmp_path):
    brain_mask, mask = tiny_masks()
    maps = np.random.default_rng(0).normal(size=(*TINY_SHAPE, 4)).astype(np.float32)
    for name, values in (("maps", maps), ("brain", brain_mask), ("grey", mask)):
        stored = values.astype(np.uint8) if values.dtype == bool else values
        nib.save(nib.Nifti1Image(stored, TINY_AFFINE), tmp_path / f"{name}.nii.gz")
    torch.save({"state_dict": tiny_network().state_dict()}, tmp_path / "model.ckpt")
    (tmp_path / "contrasts.tsv").write_text("label\na\nb\naVsB\n", encoding="utf-8")
    options = {
        "--name": "mine",
        "--maps": tmp_path / "maps.nii.gz",
        "--brain-mask": tmp_path / "brain.nii.gz",
        "--mask": tmp_path / "grey.nii.gz",
        "--contrasts": tmp_path / "contrasts.tsv",
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [
        "convert",
        str(tmp_path / "model.ckpt"),
        str(tmp_path / "models" / "mine"),
        *words,
    ]


def error_line(capsys) -> str:
    """Return the single line on stderr; nothing may stand on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


@pytest.mark.slow
def test_convert_list_info(models, convert_arguments, capsys):
    training_facts = [
        "--training-tr",
        "0.72",
        "--training-participants",
        "958",
        "--model-version",
        "3",
    ]
    assert main([*convert_arguments, *training_facts]) == 0
    out = capsys.readouterr().out
    facts = (
        "mine, version 3",
        "0.72 s",
        "958 participants",
        "432 s",
        "res-2",
        "3 (z maps)",
    )
    for fact in (*facts, "ROIs        4", "--model"):
        assert fact in out
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert f"mine    3        attention-unet  3 contrasts   {models / 'mine'}" in listed
    assert "(the user's cache, absent)" in listed
    assert main(["info", "mine"]) == 0
    info = capsys.readouterr().out
    assert [line.split()[:2] for line in info.splitlines()[-3:]] == [
        ["0", "a"],
        ["1", "b"],
        ["2", "aVsB"],
    ]


def test_list_without_models_says_what_to_do(models, capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("hcp-ya", "hcp-d", "ukb"):
        assert f"not installed: dtg-models fetch {name}\n" in out
    assert f"{models} ($DTG_MODEL_DIR, absent)" in out


@pytest.mark.slow
def test_list_shows_damaged_and_shadowed_models(models, monkeypatch, tmp_path, capsys):
    write_tiny_bundle(models / "tiny")
    write_tiny_bundle(tmp_path / "cache" / "bids_dtg" / "models" / "tiny")
    (models / "broken").mkdir()
    (models / "broken" / "model.json").write_text("{", encoding="utf-8")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("broken")
    assert "damaged" in lines[1]
    assert "not used" not in lines[2]
    assert f"(not used: {models / 'tiny'} comes first)" in lines[3]


@pytest.fixture
def published(models, monkeypatch):
    """Serve a small hcp-ya under the published paths on this machine, by way of a mirror."""
    host = ModelHost()
    publish(monkeypatch, add_model(host))
    pin_transform(monkeypatch, host, b"transform")
    with serve_alone(host, monkeypatch):
        yield host


@pytest.mark.slow
def test_fetch_brings_the_transform_of_fmripreps_default_space(
    published, models, capsys
):
    assert main(["fetch", "hcp-ya", "--into", str(models)]) == 0
    path = models.parent / "templateflow" / TRANSFORM
    assert path.read_bytes() == b"transform"
    out, err = capsys.readouterr()
    assert f"transform of runs in MNI152NLin2009cAsym: {path}\n" in out
    assert f"downloading {path.name}" in err


@pytest.mark.slow
def test_a_model_is_fetched_without_the_transform_where_that_is_not_there(
    published, models, capsys
):
    del published.files[f"/{TRANSFORM}"]
    assert main(["fetch", "hcp-ya", "--into", str(models)]) == 0
    assert main(["verify", "hcp-ya"]) == 0
    err = capsys.readouterr().err
    assert (
        "warning: runs that are only in MNI152NLin2009cAsym need a transform: tpl-MNI"
        in err
    )


@pytest.mark.slow
def test_fetch_verify_info(published, models, tmp_path, capsys):
    cache = tmp_path / "cache" / "bids_dtg" / "models"
    assert main(["fetch", "hcp-ya"]) == 0
    out, err = capsys.readouterr()
    assert f"hcp-ya 010525: {cache / 'hcp-ya'}\n" in out
    assert "HCP's data-use terms" in out
    assert "main_model_hcp-ya_010525.ckpt" in err
    assert main(["verify"]) == 0
    assert "hcp-ya: intact, hcp-ya 010525" in capsys.readouterr().out
    assert main(["info", "hcp-ya"]) == 0
    assert main(["fetch", "hcp-ya", "--into", str(models)]) == 0
    assert (models / "hcp-ya" / "model.json").is_file()


@pytest.mark.slow
def test_a_model_that_fails_its_self_check_is_exit_2(models, capsys):
    rows = np.random.default_rng(5).normal(size=(3, ROIS)).astype(np.float32)
    rows[2] = rows[1] - rows[0]
    mean = np.zeros((ROIS, PLACES.number), np.float32)
    tensors = tensors_of(LinearModel((ROIS,), mean, mean + 1, rows))
    for folder, names in {"plain": ("A", "B", "C"), "mixed": ("A", "B", "A-B")}.items():
        contrasts = tuple(
            Contrast(n, f"c{n}", "T", name, "") for n, name in enumerate(names)
        )
        write_tiny_kind(models / folder, "linear", tensors, contrasts=contrasts)
    assert main(["verify", "plain", "mixed"]) == 2
    out, err = capsys.readouterr()
    assert "tiny 0: self-check passed: 1 check passed, 2 skipped" in out
    assert "tiny 0: self-check failed: 1 check passed, 1 failed, 1 skipped" in out
    assert err.count("\n") == 1
    assert (
        f"{models / 'mixed'} failed its self-check: differences have their sign: 0 of 1"
        in err
    )
    assert "To do: do not use its maps" in err


@pytest.mark.parametrize("name", ["demo", "hcp_ya", "../x"])
def test_fetch_knows_the_published_models_only(published, name, capsys):
    assert main(["fetch", name]) == 2
    line = error_line(capsys)
    assert f"NAME of a published model is '{name}'" in line
    assert "hcp-ya, hcp-d, ukb" in line
    assert ("did you mean hcp-ya?" in line) == (name == "hcp_ya")
    assert published.asked == []


@pytest.mark.parametrize(
    "mirror", ["http://bobby:s3cret@{}", "http://{}/?token=s3cret&path="]
)
def test_no_secret_of_a_mirror_or_proxy_is_shown(
    published, capsys, monkeypatch, mirror
):
    published.files.clear()
    host = os.environ["DTG_MODEL_MIRROR"].removeprefix("http://")
    monkeypatch.setenv("DTG_MODEL_MIRROR", mirror.format(host))
    monkeypatch.setenv("https_proxy", f"http://bobby:s3cret@{host}")
    assert main(["fetch", "hcp-ya", "-vv"]) == 2
    shown = "".join(capsys.readouterr())
    assert "***" in shown
    assert "s3cret" not in shown
    assert "bobby" not in shown


@pytest.mark.slow
def test_verify_tells_of_every_damaged_model(models, capsys):
    write_tiny_bundle(models / "good")
    for name in ("bad", "worse"):
        write_tiny_bundle(models / name)
        (models / name / "mask.nii.gz").write_bytes(b"changed")
    assert main(["verify"]) == 2
    out, err = capsys.readouterr()
    assert "good: intact" in out
    assert out.count("mask.nii.gz has changed") == 2
    assert "2 cannot be used" in err


@pytest.mark.slow
def test_damaged_model_is_one_line_and_exit_2(models, capsys):
    write_tiny_bundle(models / "tiny")
    path = models / "tiny" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    assert main(["info", "tiny"]) == 2
    assert "weights.safetensors has changed" in error_line(capsys)


@pytest.mark.parametrize(
    ("file", "code", "line"),
    [("model.ckpt", 2, "model.ckpt"), ("models", 1, "cannot be written")],
)
def test_what_cannot_be_converted_is_one_line(
    convert_arguments, tmp_path, capsys, file, code, line
):
    (tmp_path / file).write_text("no checkpoint, and no folder")
    assert main(convert_arguments) == code
    assert line in error_line(capsys)
    assert not (tmp_path / "models").is_dir()


@pytest.mark.parametrize(
    "arguments",
    [[], ["lst"], ["convert", "x"], ["list", "--colour"]],
)
def test_wrong_arguments_are_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
