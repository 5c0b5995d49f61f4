from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from bids_dtg.errors import RunError
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError

TO, ORIGIN = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
NAME = f"tpl-{TO}/tpl-{TO}_from-{ORIGIN}_mode-image_xfm.h5"
CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(1000)


@pytest.fixture
def server(tmp_path):
    """Serve a folder; a file named CUT is served with a length that it has not."""
    folder = tmp_path / "served"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def send_header(self, keyword, value):
            if keyword == "Content-Length" and (folder / "CUT").exists():
                value = str(int(value) + 5)
            super().send_header(keyword, value)

        def log_message(self, *_):
            pass

    path = folder / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_home_is_found_as_templateflow_finds_it(tmp_path, monkeypatch):
    assert TemplateFlow.here(environment={"TEMPLATEFLOW_HOME": "/t"}).home == Path("/t")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TemplateFlow.here(environment={}).home == tmp_path / ".cache" / "templateflow"
    assert TemplateFlow.here(environment={"XDG_CACHE_HOME": "/c"}).home == Path("/c/templateflow")


@pytest.mark.parametrize("content", [None, b"", b"/annex/objects/SHA256E-s1--a.h5\n"])
def test_what_is_missing_is_named_with_the_command(tmp_path, content):
    path = tmp_path / NAME
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(
        TransformMissingError,
        match=rf"{path} is not there.*To do: curl -fL --create-dirs -o '{path}' "
        rf"https://templateflow\.s3\.amazonaws\.com/{NAME} \(or add --templateflow-download\)\.",
    ):
        TemplateFlow(tmp_path).transform(TO, ORIGIN)


def test_nothing_is_downloaded_unless_asked_for(tmp_path, server):
    _, address = server
    with pytest.raises(TransformMissingError):
        TemplateFlow(tmp_path / "home", address=address).transform(TO, ORIGIN)
    assert not (tmp_path / "home").exists()


def test_download_replaces_a_stub(tmp_path, server, capsys):
    _, address = server
    stub = tmp_path / "home" / NAME
    stub.parent.mkdir(parents=True)
    stub.touch()
    path = TemplateFlow(tmp_path / "home", download=True, address=address).transform(TO, ORIGIN)
    assert path == stub
    assert path.read_bytes() == CONTENT
    assert f"downloading {address}/{NAME}" in capsys.readouterr().err
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / NAME).unlink(), "404"),
        (lambda folder: (folder / NAME).write_bytes(b"<html>"), "no HDF5 file"),
        (lambda folder: (folder / "CUT").touch(), "1008 of 1013 bytes"),
    ],
)
def test_a_download_that_fails_leaves_nothing(tmp_path, server, spoil, told):
    folder, address = server
    spoil(folder)
    home = tmp_path / "home"
    with pytest.raises(RunError, match=rf"{NAME} cannot be downloaded to .*{told}.*check the net"):
        TemplateFlow(home, download=True, address=address).transform(TO, ORIGIN)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_no_network(tmp_path):
    flow = TemplateFlow(tmp_path, download=True, address="http://127.0.0.1:9")
    with pytest.raises(RunError, match="cannot be downloaded"):
        flow.transform(TO, ORIGIN)
