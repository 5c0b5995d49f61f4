"""Published models from a host on this machine: fetched, verified, converted, once."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from maps_bundle import tiny_masks, write_tiny_bundle
from model_host import (
    Fault,
    ModelHost,
    Notes,
    add_model,
    nifti,
    serve,
    serve_alone,
    tiny_checkpoint,
)

from bids_dtg.bundles.fetch import PUBLIC_HOST, fetch_models
from bids_dtg.bundles.overview import bundle_lines
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.registry import PUBLISHED
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import BundleError, OutputError
from bids_dtg.files.download import download_hosts


@pytest.fixture
def host():
    return ModelHost()


@pytest.fixture
def address(host, monkeypatch):
    with serve_alone(host, monkeypatch) as address:
        yield address


@pytest.fixture(autouse=True)
def asked_once(monkeypatch):
    """Ask a host once: pooch's pauses only take time."""
    monkeypatch.setattr("bids_dtg.files.download._RETRIES", 0)


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_model_becomes_a_bundle_that_says_what_it_is(host, address, models):
    model = add_model(host)
    notes = Notes()
    (bundle,) = fetch_models([model], models, notes)
    assert bundle.path == models / "hcp-ya"
    again = load_bundle(models / "hcp-ya")
    assert again.identity == bundle.identity
    card = again.card
    assert (card.name, card.version, card.for_science) == ("hcp-ya", "010525", True)
    assert card.part.contrasts == hcp_contrasts()
    assert (card.training.repetition_time_s, card.training.participants) == (0.72, 958)
    assert "ICA-FIX" in card.training.cleaning
    assert "HCP's data-use terms" in card.notice
    assert "GPL-3.0" in card.licence
    assert "Serin" in card.citation
    sources = card.record["published_files"]
    assert [(entry["algorithm"], entry["digest"]) for entry in sources] == [
        ("git", file.digest.removeprefix("git:")) for file in model.files
    ]
    contents = [host.files[f"/{file.location}"] for file in model.files]
    assert [entry["sha256"] for entry in sources] == [
        hashlib.sha256(content).hexdigest() for content in contents
    ]
    brain_mask, mask = tiny_masks()
    np.testing.assert_array_equal(again.places.mask, mask)
    np.testing.assert_array_equal(again.brain.mask, brain_mask)
    # Nothing but the bundle is kept.
    assert [path.name for path in models.iterdir()] == ["hcp-ya"]
    assert any(model.card.notice in note for note in notes.notes)


@pytest.mark.slow
def test_it_knows_whom_it_has_seen(host, address, models):
    (young,) = fetch_models([add_model(host)], models, Notes())
    assert young.people == PUBLISHED["hcp-ya"].people
    (line,) = [line for line in bundle_lines(young) if line.startswith("people")]
    assert (
        "827 training, 92 validation, 34 test, 34 uncertain, listed as hashes" in line
    )
    assert "not listed: 5 of the 39 test people of HCP-YA" in line


@pytest.mark.slow
def test_what_is_there_is_verified_without_a_word_to_the_host(
    host, address, models, monkeypatch
):
    model = add_model(host)
    fetch_models([model], models, Notes())
    host.asked.clear()
    monkeypatch.setenv("DTG_OFFLINE", "1")
    fetch_models([model], models, Notes())
    assert host.asked == []


@pytest.mark.slow
def test_shared_files_are_fetched_once(host, address, models):
    first, second = add_model(host), add_model(host, "ukb")
    fetch_models([first, second], models, Notes())
    assert len(host.asked) == len(set(host.asked)) == 5
    assert load_bundle(models / "ukb").card.part.segment_seconds == pytest.approx(
        360.15
    )


@pytest.mark.slow
def test_changed_bundles_are_refused_with_file_and_both_hashes(host, address, models):
    model = add_model(host)
    (bundle,) = fetch_models([model], models, Notes())
    path = models / "hcp-ya" / "mask.nii.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(
        BundleError, match=r"hcp-ya/mask\.nii\.gz has changed"
    ) as caught:
        fetch_models([model], models, Notes())
    assert bundle.card.files["mask.nii.gz"] in str(caught.value)
    assert len([word for word in str(caught.value).split() if len(word) >= 64]) >= 2
    assert "hcp-ya, then fetch it again" in str(caught.value)


@pytest.mark.slow
def test_another_model_of_that_name_is_left_alone(host, address, models):
    write_tiny_bundle(models / "hcp-ya", name="hcp-ya", version="mine")
    with pytest.raises(
        BundleError, match=r"hcp-ya holds hcp-ya mine\. Expected: hcp-ya 010525"
    ):
        fetch_models([add_model(host)], models, Notes())
    assert load_bundle(models / "hcp-ya").card.version == "mine"


@pytest.mark.slow
def test_a_failed_fetch_keeps_the_files_that_are_whole(host, address, models):
    model = add_model(host)
    host.faults[f"/{model.maps.location}"].append(Fault(404))
    with pytest.raises(BundleError, match=f"{model.maps.name} cannot be fetched"):
        fetch_models([model], models, Notes())
    assert not (models / "hcp-ya").exists()
    host.asked.clear()
    fetch_models([model], models, Notes())
    assert host.asked == [f"/{model.maps.location}"]


class _Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return (os.mkdir, (str(self.victim),))


def test_a_malicious_pickle_is_refused_even_if_it_were_pinned(
    host, address, models, tmp_path
):
    victim = tmp_path / "created"
    for content in (
        tiny_checkpoint(hyper_parameters={"loss": _Attack(victim)}),
        pickle.dumps(_Attack(victim)),
    ):
        model = add_model(host, checkpoint=content)
        with pytest.raises(BundleError, match=model.checkpoint.name):
            fetch_models([model], models, Notes())
    assert not victim.exists()
    assert not (models / "hcp-ya").exists()


def test_files_that_do_not_belong_together_make_no_bundle(host, address, models):
    model = add_model(host, rois=5)
    with pytest.raises(
        BundleError, match=r"melodic_IC_MNI_2mm\.nii\.gz holds 5 ROI maps"
    ):
        fetch_models([model], models, Notes())
    mask = host.add(nifti(np.zeros((3, 3, 3), bool)), model.mask)
    with pytest.raises(BundleError, match=r"MNI_2mm_GM_mask_crop\.nii has sizes"):
        fetch_models([replace(model, mask=mask)], models, Notes())
    assert not (models / "hcp-ya").exists()


@pytest.mark.slow
def test_mirrors_are_asked_first(host, address, models, monkeypatch):
    model, mirror = add_model(host), ModelHost()
    mirror.files = dict(host.files)
    del mirror.files[f"/{model.maps.location}"]
    with serve(mirror) as mirror_address:
        monkeypatch.setenv("DTG_MODEL_MIRROR", f"{mirror_address}/  {address} ")
        fetch_models([model], models, Notes())
    assert host.asked == [f"/{model.maps.location}"]
    assert len(mirror.asked) == 4


def test_hosts_are_mirrors_then_github_or_none():
    assert (
        download_hosts({}, PUBLIC_HOST)
        == [PUBLIC_HOST]
        == ["https://raw.githubusercontent.com"]
    )
    variables = {"DTG_MODEL_MIRROR": "http://a/x/ https://b"}
    assert download_hosts(variables, PUBLIC_HOST) == [
        "http://a/x",
        "https://b",
        PUBLIC_HOST,
    ]
    assert download_hosts({"DTG_OFFLINE": "0"}, PUBLIC_HOST) == [PUBLIC_HOST]
    assert download_hosts(variables | {"DTG_OFFLINE": "1"}, PUBLIC_HOST) == []


def test_offline_nothing_is_asked(host, address, models, monkeypatch):
    monkeypatch.setenv("DTG_OFFLINE", "1")
    with pytest.raises(BundleError, match="DTG_OFFLINE is set"):
        fetch_models([add_model(host)], models, Notes())
    assert host.asked == []
    assert not models.exists()


def test_a_cache_that_cannot_be_written_is_told(host, address, models, monkeypatch):
    # The superuser may write anywhere, so the refusal is made here.
    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        OutputError, match=f"{models}/.*lock cannot be written: Read-only.*--into"
    ):
        fetch_models([add_model(host)], models, Notes())
    assert host.asked == []
