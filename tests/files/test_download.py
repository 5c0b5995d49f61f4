"""Files over HTTP from a host on this machine: complete and verified, or not written."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest
from model_host import Fault, ModelHost, Notes, blob_id, go_without_proxy, serve

from bids_dtg.errors import DownloadError, OutputError
from bids_dtg.files.download import PinnedFile, download_folder, obtain_file

CONTENT = np.random.default_rng(0).bytes(700_000)
PINNED = PinnedFile(
    f"owner/models/{'c' * 40}/sub/model.ckpt", f"git:{blob_id(CONTENT)}", len(CONTENT)
)
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
AWAY = "http://bobby:s3cret@127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Talk to this machine itself."""
    go_without_proxy(monkeypatch)


@pytest.fixture
def host():
    return ModelHost()


@pytest.fixture
def address(host):
    with serve(host) as address:
        yield address


@pytest.fixture
def obtain(host, address, tmp_path):
    """Fetch `PINNED` from a host with these faults."""

    def obtain(*faults, file=PINNED, hosts=None):
        host.add(CONTENT, file, *faults)
        return obtain_file(file, tmp_path, hosts or [address], Notes())

    return obtain


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_fetched_once_and_kept_under_its_id(obtain, host, tmp_path):
    tmp_path.chmod(0o755)
    fetched = obtain()
    assert fetched.read_bytes() == CONTENT
    assert fetched.stat().st_mode & 0o777 == 0o644  # others read it, too
    assert left(tmp_path) == [f"{blob_id(CONTENT)[:12]}-model.ckpt"]
    assert obtain() == fetched
    assert host.asked == [f"/owner/models/{'c' * 40}/sub/model.ckpt"]
    fetched.write_bytes(OTHER)
    assert obtain().read_bytes() == CONTENT
    assert len(host.asked) == 2


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_other_digests_pin_as_well(obtain, algorithm):
    right = hashlib.new(algorithm, CONTENT).hexdigest()
    file = PinnedFile("folder/field.h5", f"{algorithm}:{right}", size=len(CONTENT))
    assert obtain(file=file).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="wrong content, 700000 bytes"):
        obtain(file=replace(file, digest=f"{algorithm}:{'0' * len(right)}"))


@pytest.mark.parametrize(
    ("fault", "fact"),
    [
        (Fault(content=OTHER), "wrong content, 700000 bytes"),
        (Fault(content=b""), "wrong content, 0 bytes"),
        (
            Fault(content=CONTENT * 2),
            "more than the 700000 bytes of the file were sent",
        ),
        (Fault(cut=9, length=False), "wrong content, 9 bytes"),
        (Fault(404), "HTTP 404 Not Found"),
        (Fault(302, "file:///etc/passwd?token=s3cret"), "file:///etc/passwd"),
        (Fault(302, "http://[x]/"), "cannot be fetched"),
    ],
)
def test_a_refusal_names_the_reason_and_leaves_nothing(
    obtain, tmp_path, monkeypatch, fault, fact
):
    monkeypatch.setattr("bids_dtg.files.download._RETRIES", 0)
    with pytest.raises(DownloadError, match=rf"model\.ckpt: .*{fact}|{fact}") as caught:
        obtain(fault)
    assert (f", not git:{blob_id(CONTENT)}" in str(caught.value)) == (
        "wrong content" in fact
    )
    assert "s3cret" not in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("fault", [Fault(cut=9000), Fault(503)])
def test_what_may_pass_is_tried_again(obtain, host, fault):
    assert obtain(fault).read_bytes() == CONTENT
    assert len(host.asked) == 2


def test_hosts_are_asked_in_order_and_named_when_all_fail(
    obtain, host, address, monkeypatch
):
    monkeypatch.setattr("bids_dtg.files.download._RETRIES", 0)
    with serve(ModelHost()) as empty:
        obtain(hosts=[empty, address]).unlink()
        with pytest.raises(DownloadError) as caught:
            obtain(Fault(content=OTHER), hosts=[empty, AWAY, address])
    message = str(caught.value)
    assert f"{empty}/{PINNED.location}: HTTP 404" in message
    assert f"@127.0.0.1:9/{PINNED.location}: " in message
    assert "Connection refused" in message
    assert f"{address}/{PINNED.location}: wrong content" in message
    assert "s3cret" not in message
    assert "bobby" not in message


def test_a_proxy_is_used_and_its_secrets_are_not_named(
    obtain, host, address, monkeypatch
):
    monkeypatch.setenv("http_proxy", address)
    assert obtain(hosts=["http://models.example"]).read_bytes() == CONTENT
    assert host.asked == [f"http://models.example/{PINNED.location}"]
    monkeypatch.setenv("http_proxy", "bobby:s3cret@[")
    with pytest.raises(DownloadError) as caught:
        obtain(hosts=["http://models.example"], file=replace(PINNED, digest="git:0"))
    assert "s3cret" not in str(caught.value)


def test_a_full_disk_is_told(obtain, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    with pytest.raises(
        OutputError, match=rf"model\.ckpt cannot be saved in {tmp_path}: No space"
    ):
        obtain()
    assert left(tmp_path) == []


def test_progress_is_shown(host, address, tmp_path):
    host.add(CONTENT, PINNED)
    notes = Notes()
    obtain_file(PINNED, tmp_path, [address], notes)
    assert all(name.startswith("model.ckpt, ") for name, _ in notes.stages)
    shares = [share for _, share in notes.stages]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_what_killed_processes_left_is_removed(tmp_path):
    with download_folder(tmp_path, Notes(), remedy="") as work:
        (work / "tmpabc").write_bytes(b"half")
        (work / "model").mkdir()
        (work / "whole.h5").write_bytes(b"whole")
    with download_folder(tmp_path, Notes(), remedy="") as work:
        assert left(work) == ["download.lock", "whole.h5"]


def test_a_fetch_that_fails_leaves_no_folder(tmp_path):
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new" / "models", tmp_path / "there"):
        with pytest.raises(DownloadError), download_folder(folder, Notes(), remedy=""):
            raise DownloadError("no host has it")
    assert left(tmp_path) == ["there"]
