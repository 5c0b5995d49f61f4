"""What `make release-check` finds; CI runs the whole of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from bids_dtg.version import __version__

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from release_check import (  # noqa: E402
    VERSIONS,
    Release,
    dead_links,
    decisions,
    differing_versions,
    pythons_at_hand,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEAD = "| decision | state | text | files |\n|---|---|---|---|\n"
# These speak of placeholders, and have none.
WORDS = {"CHANGELOG.md", "README.md"}


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _decided(row: str, **files: str) -> tuple[list[str], list[str]]:
    return decisions(HEAD + row, files.__getitem__)


def test_an_open_decision_is_open():
    assert _decided("| who | open | `OWNER` | `a` |", a="OWNER") == (["who"], [])


def test_a_decision_is_carried_out_in_every_file():
    row = "| who | decided | `OWNER` | `a`, `b` |"
    assert _decided(row, a="Ann", b="Ann") == ([], [])
    assert _decided(row, a="Ann", b="by OWNER") == (
        [],
        ["who: decided, and `OWNER` is still in b"],
    )


def test_another_state_and_a_lost_list_are_faults():
    assert _decided("| who | maybe | | |")[1] == [
        "who: its state is 'maybe'. Expected: open or decided"
    ]
    assert decisions("nothing", _read)[1] == ["docs/release.md has no table of decisions"]


def test_the_list_names_every_file_that_has_a_placeholder():
    """No file has one that is decided."""
    row = r"^\|.*\| (open|decided) \| `([^`]+)` \| (.*) \|$"
    rows = re.findall(row, _read("docs/release.md"), re.MULTILINE)
    assert rows
    files = [
        *ROOT.glob("*.*"),
        *ROOT.glob("examples/*/*"),
        *ROOT.glob("scripts/*.py"),
        *ROOT.glob("bids_dtg/**/*.py"),
    ]
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for path in files
        if path.is_file() and not path.name.startswith(".coverage")  # of `make coverage`
    }
    for state, text, named in rows:
        having = {name for name, content in texts.items() if text in content}
        expected = set(re.findall(r"`([^`]+)`", named)) if state == "open" else set()
        assert having - WORDS == expected, text


def test_a_release_is_refused_while_something_is_open():
    open_, _ = decisions(_read("docs/release.md"), _read)
    if not open_:
        pytest.skip("nothing is open")
    command = [sys.executable, ROOT / "scripts/release_check.py", "--release"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"release-check: error: {decision}: open in docs/release.md" for decision in open_
    ]


def test_packages_that_do_not_go_together_are_found(tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    release = Release(tmp_path)
    assert list(release.together(python)) == []
    (packages,) = (tmp_path / "env").glob("lib/python3*/site-packages")
    facts = packages / "mine-1.dist-info" / "METADATA"
    facts.parent.mkdir()
    facts.write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\nRequires-Dist: absent>=2\n")
    (fault,) = release.together(python)
    assert "requires `absent>=2`" in fault


def test_another_python_is_at_hand_if_it_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for version, does in {"3.98": "exit 0", "3.99": "exit 127"}.items():  # as pyenv's names do
        python = tmp_path / f"python{version}"
        python.write_text(f"#!/bin/sh\n{does}\n")
        python.chmod(0o755)
    found = pythons_at_hand(["3.97", "3.98", "3.99"])
    assert found == {"3.98": tmp_path / "python3.98"}


def test_versions_agree():
    assert differing_versions(__version__, _read) == []


@pytest.mark.parametrize("name", VERSIONS)
def test_another_version_is_found(name):
    def read(asked: str) -> str:
        return _read(asked).replace(__version__, "9.9") if asked == name else _read(asked)

    assert differing_versions(__version__, read) == [
        f"{name}: version 9.9. Expected: {__version__}"
    ]


def test_links_of_a_page(tmp_path):
    (tmp_path / "there.md").write_text("x")
    page = "[a](there.md#x) [b](https://x.org) [c](#d) ![e](gone.png)\n```\n[f](code)\n```\n"
    assert dead_links(page, tmp_path) == ["gone.png leads nowhere"]


def test_links_of_the_text_for_an_index(tmp_path):
    (tmp_path / "there.md").write_text("x")
    page = "[a](https://o/there.md) [b](https://o/gone.md#x) [c](there.md) [d](https://x.org)"
    dead = ["https://o/gone.md#x leads nowhere", "there.md is relative"]
    assert dead_links(page, tmp_path, "https://o/") == dead


def test_addresses_are_of_one_repository():
    project, hook = PROJECT["project"], PROJECT["tool"]["hatch"]["metadata"]["hooks"]
    source = project["urls"]["Source"]
    assert source.startswith("https://github.com/")
    assert all(project["urls"][name].startswith(source) for name in ("Issues", "Changelog"))
    pictures, links = hook["fancy-pypi-readme"]["substitutions"]
    assert links["replacement"] == rf"]({source}/blob/main/\1)"
    raw = source.replace("github.com", "raw.githubusercontent.com")
    assert pictures["replacement"] == rf"![\1]({raw}/main/\2)"


def test_every_licence_file_of_others_is_declared():
    declared = set(PROJECT["project"]["license-files"])
    named = re.compile(r"^(LICEN[CS]E|NOTICE|COPYING)")
    files = [path for path in (ROOT / "bids_dtg").rglob("*") if named.search(path.name)]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= declared
    assert all((ROOT / name).is_file() for name in declared)


def test_what_zenodo_reads():
    archived = json.loads(_read(".zenodo.json"))
    assert archived["keywords"] == PROJECT["project"]["keywords"]
    assert archived["license"] == PROJECT["project"]["license"].split()[0]
    (doi,) = (item["identifier"] for item in archived["related_identifiers"])
    assert doi in _read("CITATION.cff")
    authors = [author["name"] for author in PROJECT["project"]["authors"]]
    assert [each["name"] for each in archived["creators"]] == authors


def test_babs_names_the_version():
    named = re.findall(r"\d+-\d+-\w+", _read("examples/babs/bids_dtg.yaml"))
    assert set(named) == {__version__.replace(".", "-")}
