"""`make release` writes what was decided into every file that shows it."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from release import DECISIONS, read_release, release_text, write_values

ROOT = Path(__file__).parents[1]
# Folders whose files show nothing that is decided.
FOLDERS = (
    "tests",
    "studies",
    "benchmarks",
    "build",
    "dist",
    "site",
    "gallery",
    "assets",
)
_OWNER = "OWN" + "ER"  # in parts, as this file is searched in an sdist
PLACEHOLDERS = (f"github.com/{_OWNER}", f"{_OWNER}.github.io", f"`{_OWNER}`")
AUTHORS = """[[authors]]
given = "Ann"
family = "Sjö"
orcid = "0000-0002-1825-0097"
"""


@pytest.fixture
def copy(tmp_path) -> Path:
    """Return a copy of the repository's text files."""
    names = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    names += [ROOT / ".zenodo.json", ROOT / ".github"]
    ignored = shutil.ignore_patterns(
        "*.safetensors", "*.gz", "*.png", "*.gii", "__pycache__", "vendor", *FOLDERS
    )
    for path in names:
        if path.name in FOLDERS:
            continue
        if path.is_dir():
            shutil.copytree(path, tmp_path / path.name, ignore=ignored)
        else:
            shutil.copy(path, tmp_path)
    return tmp_path


def left_placeholders(root: Path) -> list[str]:
    texts = [
        (path.relative_to(root), path.read_bytes().decode("utf-8", "replace"))
        for path in root.rglob("*")
        if path.is_file()
    ]
    return [
        f"{path}: {placeholder}"
        for path, text in texts
        for placeholder in PLACEHOLDERS
        if placeholder in text
    ]


def test_no_placeholder_is_left_and_a_missing_doi_has_no_field(copy):
    write_values(copy, read_release(copy, "Example-Lab/maps-at-rest"))
    clone = "git clone https://github.com/Example-Lab/maps-at-rest && cd maps-at-rest"
    assert f"$ {clone}\n" in (copy / "README.md").read_text()
    write_values(copy, read_release(copy, "Example-Lab/bids_dtg"))
    assert left_placeholders(copy) == []
    urls = tomllib.loads((copy / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Source"] == "https://github.com/Example-Lab/bids_dtg"
    assert urls["Documentation"] == "https://Example-Lab.github.io/bids_dtg/"
    version = read_release(copy).version
    image = f"ghcr.io/example-lab/bids_dtg:{version}"
    assert image in (copy / "docs/how-to/containers.md").read_text()
    assert (
        f"published=docker://{image}" in (copy / "examples/brainlife/run").read_text()
    )
    assert "doi" not in yaml.safe_load((copy / "CITATION.cff").read_text())


def test_a_second_release_replaces_the_first(copy):
    write_values(copy, read_release(copy, "first/one"))
    decisions = copy / DECISIONS
    group = '[[authors]]\nname = "The bids_dtg developers"\n'
    changed = decisions.read_text().replace('doi = ""', 'doi = "10.5281/zenodo.1"')
    decisions.write_text(changed.replace(group, AUTHORS))
    write_values(copy, read_release(copy, "second/two"))
    assert not [
        path
        for path in copy.rglob("*")
        if path.is_file() and b"first/one" in path.read_bytes()
    ]
    citation = yaml.safe_load((copy / "CITATION.cff").read_text())
    assert citation["doi"] == "10.5281/zenodo.1"
    assert citation["authors"] == [
        {
            "family-names": "Sjö",
            "given-names": "Ann",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
        }
    ]
    zenodo = json.loads((copy / ".zenodo.json").read_text())
    assert zenodo["creators"] == [{"name": "Sjö, Ann", "orcid": "0000-0002-1825-0097"}]
    assert 'AUTHORS = ("Ann Sjö",)' in (copy / "bids_dtg/version.py").read_text()
    assert write_values(copy, read_release(copy)) == []
    (copy / "dist").mkdir()
    (copy / "dist/bids_dtg.whl").write_bytes(b"")
    text = release_text(copy, read_release(copy))
    assert "10.5281/zenodo.1" in text
    assert "The first release" in text
    assert "](docs/" not in text  # the release's page is elsewhere


@pytest.mark.parametrize(
    ("repository", "before", "after", "words"),
    [
        ("", "", "", "the repository is OWNER/bids_dtg"),
        ("no-name", "", "", "the repository is no-name"),
        ("a/b", 'doi = ""', 'doi = "soon"', "doi is 'soon'"),
        ("a/b", 'name = "The', 'given = "The', "is no author"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, repository, before, after, words):
    text = (ROOT / DECISIONS).read_text().replace(before, after)
    (tmp_path / DECISIONS).write_text(text)
    with pytest.raises(SystemExit, match=words):
        read_release(tmp_path, repository)
