"""A loopback HTTP host of model files that can be told to misbehave, and files of our own."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pooch
import pytest
from maps_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks, tiny_network

from bids_dtg.contrasts.bundle.registry import PUBLISHED, PublishedMaps
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.files.download import PinnedFile
from bids_dtg.inputs.templateflow import PINNED

TRANSFORM = (
    "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5"
)
_NIFTI_HEADER = (348).to_bytes(4, "little")  # that it has so many bytes

if TYPE_CHECKING:
    import torch


@dataclass
class Fault:
    """What one answer does instead of serving the file."""

    status: int = 200  # another one is the whole answer
    location: str = ""  # where a redirect leads
    cut: int | None = None  # close the connection after so many bytes of the body
    content: bytes | None = None  # what is served instead
    length: bool = True  # say how long the body is


class ModelHost:
    """Serves `files`; each answer takes the next fault of its path, and none when they are over."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[str] = []  # paths

    def add(self, content: bytes, file: PinnedFile, *faults: Fault) -> PinnedFile:
        """Serve content under a published path, as gzip where that is its name's; as pinned."""
        if file.location.endswith(".nii.gz") and content.startswith(_NIFTI_HEADER):
            content = gzip.compress(content, 1, mtime=0)
        self.files[f"/{file.location}"] = content
        self.faults[f"/{file.location}"] += faults
        return replace(file, digest=f"git:{blob_id(content)}", size=None)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = re.sub(
            r"^http://[^/]+", "", request.path
        )  # a proxy is asked for whole addresses
        self.asked.append(request.path)
        fault = self.faults[path].pop(0) if self.faults[path] else Fault()
        content = self.files.get(path) if fault.content is None else fault.content
        if fault.status == 200 and content is None:
            fault = Fault(404)
        if fault.status != 200:
            request.send_response(fault.status)
            if fault.location:
                request.send_header("Location", fault.location)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200)
        if fault.length:
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        middle = len(content) // 2 if fault.cut is None else fault.cut
        request.wfile.write(content[:middle])
        if fault.cut is None:
            request.wfile.write(content[middle:])


@contextmanager
def serve(host: ModelHost) -> Iterator[str]:
    """Serve on a free port of this machine; the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # the client has given up
                host.answer(self)
            self.close_connection = True

        def do_CONNECT(self) -> None:
            """As a proxy, lead nowhere: who asks for another host meets no TLS, which is final."""
            with suppress(ConnectionError):
                self.wfile.write(
                    b"HTTP/1.0 200 OK\r\n\r\nno other host is reached from here"
                )
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_alone(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve as the mirror, and as the proxy that keeps from all other hosts; the address."""
    go_without_proxy(monkeypatch)
    monkeypatch.delenv("DTG_OFFLINE", raising=False)
    with serve(host) as address:
        monkeypatch.setenv("DTG_MODEL_MIRROR", address)
        monkeypatch.setenv("https_proxy", address)
        yield address


def publish(monkeypatch: pytest.MonkeyPatch, model: PublishedMaps) -> None:
    """Have a model of the tests published under its name."""
    monkeypatch.setitem(PUBLISHED, model.card.name, model)


def pin_transform(
    monkeypatch: pytest.MonkeyPatch, host: ModelHost, content: bytes
) -> None:
    """Serve a transform from fMRIPrep's default space, and have it pinned as the true one is."""
    digest = f"md5:{hashlib.md5(content).hexdigest()}"
    monkeypatch.setitem(
        PINNED, TRANSFORM, PinnedFile(TRANSFORM, digest, size=len(content))
    )
    host.files[f"/{TRANSFORM}"] = content


def blob_id(content: bytes) -> str:
    """Return git's id, computed apart from the program."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def nifti(values: np.ndarray, affine: np.ndarray = TINY_AFFINE) -> bytes:
    stored = values.astype(np.uint8) if values.dtype == bool else values
    return nib.Nifti1Image(stored, affine).to_bytes()


def tiny_checkpoint(contrasts: int = 47, seed: int = 0, **entries: object) -> bytes:
    """Make a small checkpoint in the published form."""
    import torch

    network = tiny_network(4, contrasts, seed=seed)
    if contrasts == len(hcp_contrasts()):
        _give_signs(network.out_block[-1])
    state = {f"model.{key}": value for key, value in network.state_dict().items()}
    stream = io.BytesIO()
    torch.save({"state_dict": state, "epoch": 3, **entries}, stream)
    return stream.getvalue()


def _give_signs(layer: torch.nn.Conv3d) -> None:
    """Make each output for a contrast A-B the difference of those for A and for B."""
    numbers = {(row.task, row.name): row.index for row in hcp_contrasts()}
    for (task, name), number in numbers.items():
        first, _, second = name.partition("-")
        parts = numbers.get((task, first)), numbers.get((task, second))
        if None not in parts:
            for values in (layer.weight.data, layer.bias.data):
                values[number] = values[parts[0]] - values[parts[1]]


def add_model(
    host: ModelHost,
    name: str = "hcp-ya",
    checkpoint: bytes | None = None,
    rois: int = 4,
) -> PublishedMaps:
    """Serve a small model under the published paths; the model as it would be pinned."""
    model = PUBLISHED[name]
    brain_mask, mask = tiny_masks()
    maps = np.random.default_rng(0).normal(size=(*TINY_SHAPE, rois)).astype(np.float32)
    return replace(
        model,
        checkpoint=host.add(checkpoint or tiny_checkpoint(), model.checkpoint),
        maps=host.add(nifti(maps), model.maps),
        brain_mask=host.add(nifti(brain_mask), model.brain_mask),
        mask=host.add(nifti(mask), model.mask),
    )


class Notes:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.stages: list[tuple[str, float]] = []
        self.note = self.finish = self.notes.append

    def stage(self, name: str, share: float) -> None:
        self.stages.append((name, share))


def go_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have requests reach this machine itself, whatever the environment says, and at once again."""
    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda _: None))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
