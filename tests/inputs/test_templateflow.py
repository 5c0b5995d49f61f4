"""Transforms between templates: found, named if missing, downloaded only if pinned."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from model_host import Fault, ModelHost, go_without_proxy, pin_transform, serve

from bids_dtg.errors import RunError
from bids_dtg.files.download import WORK_FOLDER, PinnedFile
from bids_dtg.inputs.templateflow import (
    NotFetchedError,
    TemplateFlow,
    TransformMissingError,
    TransformPlannedError,
)

TO, ORIGIN = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
NAME = f"tpl-{TO}/tpl-{TO}_from-{ORIGIN}_mode-image_xfm.h5"
CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(1000)


@pytest.fixture
def host(monkeypatch):
    """Return a host with a small transform, pinned as the true one is."""
    go_without_proxy(monkeypatch)
    monkeypatch.delenv("DTG_MODEL_MIRROR", raising=False)
    monkeypatch.delenv("DTG_OFFLINE", raising=False)
    host = ModelHost()
    pin_transform(monkeypatch, host, CONTENT)
    return host


@pytest.fixture
def address(host):
    with serve(host) as address:
        yield address


def test_home_is_found_as_templateflow_finds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", "/t")
    assert TemplateFlow.here().home == Path("/t")
    monkeypatch.delenv("TEMPLATEFLOW_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TemplateFlow.here().home == tmp_path / ".cache" / "templateflow"
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert TemplateFlow.here().home == Path("/c/templateflow")


def test_a_folder_that_cannot_be_read_is_named_with_the_way_out(tmp_path):
    home = tmp_path / ("m" * 300)  # to root, all folders with a possible name are open
    with pytest.raises(
        RunError, match=r"xfm\.h5 cannot be read: File name too long"
    ) as err:
        TemplateFlow(home).transform(TO, ORIGIN)
    assert err.value.remedy.startswith("set TEMPLATEFLOW_HOME to a folder that")


@pytest.mark.parametrize("content", [None, b"", b"/annex/objects/SHA256E-s1--a.h5\n"])
def test_what_is_missing_is_named_with_the_command(tmp_path, content):
    path = tmp_path / NAME
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(
        TransformMissingError,
        match=rf"{path} is missing or empty.* \(205 MB\).*To do: curl -fL --create-dirs -o '.*'"
        rf" https://templateflow\.s3\.amazonaws\.com/{NAME} \(bids_dtg fetches it, unless "
        r"DTG_OFFLINE is set\)\.",
    ):
        TemplateFlow(tmp_path).transform(TO, ORIGIN)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, TransformMissingError),
        ({"download": True, "plans": True}, TransformPlannedError),
    ],
)
def test_nothing_is_downloaded_where_it_is_forbidden_or_planned(
    tmp_path, host, address, options, kind
):
    with pytest.raises(TransformMissingError) as caught:
        TemplateFlow(tmp_path / "home", address=address, **options).transform(
            TO, ORIGIN
        )
    assert caught.type is kind
    assert not (tmp_path / "home").exists()
    assert host.asked == []


def test_download_replaces_a_stub(tmp_path, host, address, capsys):
    stub = tmp_path / "home" / NAME
    stub.parent.mkdir(parents=True)
    stub.touch()
    path = TemplateFlow(tmp_path / "home", download=True, address=address).transform(
        TO, ORIGIN
    )
    assert path == stub
    assert path.read_bytes() == CONTENT
    assert (
        f"downloading {path.name} (0 MB) to {path.parent}, once"
        in capsys.readouterr().err
    )
    assert list(path.parent.iterdir()) == [path]
    assert not (tmp_path / "home" / WORK_FOLDER).exists()


@pytest.mark.parametrize(
    ("fault", "fact"),
    [
        (Fault(404), "HTTP 404"),
        (Fault(content=b"<html>"), "wrong content, 6 bytes"),
        (Fault(content=bytes(1008)), "wrong content, 1008 bytes"),
        (Fault(302, "file:///etc/passwd?token=s3cret"), "file:///etc/passwd"),
    ],
)
def test_what_is_not_the_pinned_file_never_gets_its_name(
    tmp_path, host, address, monkeypatch, fault, fact
):
    monkeypatch.setattr("bids_dtg.files.download._RETRIES", 0)
    host.faults[f"/{NAME}"].append(fault)
    home = tmp_path / "home"
    with pytest.raises(
        NotFetchedError, match=rf"xfm\.h5 cannot be fetched: .*{fact}.*check the net"
    ) as caught:
        TemplateFlow(home, download=True, address=address).transform(TO, ORIGIN)
    named = f", not md5:{hashlib.md5(CONTENT).hexdigest()}" in str(caught.value)
    assert named == ("wrong content" in fact)
    assert "s3cret" not in str(caught.value)
    assert not list(home.rglob("*.h5"))


def test_an_atlas_is_fetched_by_its_pin_where_that_is_allowed(tmp_path, host, address):
    name = f"tpl-{TO}/tpl-{TO}_res-02_atlas-A_dseg.nii.gz"
    pinned = PinnedFile(
        name, f"md5:{hashlib.md5(CONTENT).hexdigest()}", size=len(CONTENT)
    )
    host.files[f"/{name}"] = CONTENT
    with pytest.raises(
        RunError, match=r"dseg\.nii\.gz is missing.*bids_dtg fetches it"
    ):
        TemplateFlow(tmp_path, address=address).atlas(pinned)
    with pytest.raises(RunError, match=r"missing.*: run without --dry-run to fetch it"):
        TemplateFlow(tmp_path, download=True, plans=True, address=address).atlas(pinned)
    assert host.asked == []
    path = TemplateFlow(tmp_path, download=True, address=address).atlas(pinned)
    assert path.read_bytes() == CONTENT
    host.files[f"/{name}"] = bytes(1008)
    path.unlink()
    with pytest.raises(NotFetchedError, match="wrong content"):
        TemplateFlow(tmp_path, download=True, address=address).atlas(pinned)
    assert not path.exists()


@pytest.mark.parametrize("download", [False, True])
def test_what_has_no_pin_is_not_downloaded(tmp_path, host, address, download):
    infant = f"tpl-{TO}/tpl-{TO}_from-MNIInfant+2_mode-image_xfm.h5"
    host.files[f"/{infant}"] = CONTENT
    flow = TemplateFlow(tmp_path, download=download, address=address)
    with pytest.raises(
        RunError, match=r"MNIInfant\+2_mode-image_xfm\.h5 is missing.*put such"
    ):
        flow.transform(TO, "MNIInfant+2")
    assert host.asked == []
