"""The site builds without a warning, and every link in it leads somewhere."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bids_dtg.cli.run import build_parser
from bids_dtg.workflows import DEFAULT, all_workflows

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from docs_hooks import filled, options_markdown, spellings_markdown  # noqa: E402

EXAMPLES = sorted((ROOT / "examples" / "gallery").glob("*.py"))


class _Page(HTMLParser):
    """Collects what a page links to, and what in it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.text += "\n"
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, _Page]:
    """Build the site with warnings as errors and read its pages."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(mkdocs, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = folder.rglob("*.html")
    return {path: _Page(path.read_text()) for path in pages if path.name != "404.html"}


@pytest.mark.slow
def test_links_lead_somewhere(site):
    wrong = []
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = site[target].anchors if target in site else set()
            if not target.is_file() or (
                parts.fragment and target in site and unquote(parts.fragment) not in known
            ):
                wrong.append(f"{path.parent.name}: {link}")
    assert len(site) > 10
    assert not wrong


@pytest.mark.parametrize("workflow", all_workflows(), ids=lambda row: row.name)
def test_the_home_page_names_every_analysis(workflow):
    """In the tables of the workflow; tables that name none are of the default."""
    page = (ROOT / "docs" / "index.md").read_text()
    wanted = page.partition("## I want to")[2].partition("## Look up")[0]
    named = set[str]()
    for table in wanted.split("\n\n"):
        of = re.search(r"`--workflow (\w+)`", table)
        if (of[1] if of else DEFAULT) == workflow.name:
            named |= set(re.findall(r"\(`([a-z-]+)`\)", table))
    assert named >= workflow.analyses.keys()


def test_nothing_is_loaded_from_other_hosts():
    config = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in config
    assert "http" not in config


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_its_figures_what_it_printed_and_a_notebook(site, script):
    (path,) = (path for path in site if path.parent.name == script.stem)
    text = path.read_text()
    figures = set(re.findall(rf"images/mkd_glr_{script.stem}_\d+\.png", text))
    assert len(figures) == script.read_text().count("plt.show()") > 0
    assert text.count("mkd-glr-script-out-disp") > 0  # what it printed
    notebook = json.loads((path.parents[1] / f"{script.stem}.ipynb").read_text())
    assert notebook["nbformat"] == 4
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in code[1:]:  # the first one asks Jupyter for figures
        compile(cell, script.name, "exec")
    assert "plt.show()" in "".join(code)


@pytest.mark.slow
def test_twins_of_the_demo_are_judged_by_unseen_people(site):
    """The gallery has just made the demo of twins, which takes two minutes."""
    demo = ROOT / "examples" / "gallery" / "twin-output"
    assert "SIMULATED" in (demo / "printed.txt").read_text()
    with (demo / "demo.tsv").open() as file:
        rows = {row["figure"]: row for row in csv.DictReader(file, delimiter="\t")}
    mean, r = rows["stroop_rt: mean (s)"], rows["stroop_rt: r with the truth"]
    assert float(mean["predicted"]) == pytest.approx(float(mean["true"]), abs=0.04)
    assert float(r["predicted"]) >= 0.2
    assert (demo / "simulated" / "connectomes.npz").exists()


@pytest.mark.slow
def test_the_core_of_the_demo_describes_a_person_it_has_not_seen(site):
    """The gallery has just made the demo of dynamics."""
    demo = ROOT / "examples" / "gallery" / "network-output"
    with (demo / "demo.tsv").open() as file:
        core, _, mean = (float(row["r"]) for row in csv.DictReader(file, delimiter="\t"))
    assert core > 0.8 > mean
    assert (demo / "new" / "sub-sim10.html").exists()


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_that_its_people_are_simulated(script):
    first = ast.get_docstring(ast.parse(script.read_text()))
    assert first.startswith("# ")
    assert "**Everybody here is simulated" in first


@pytest.mark.slow
def test_every_option_is_there(site):
    (page,) = (page for path, page in site.items() if path.parent.name == "options")
    flags = {flag for action in build_parser()._actions for flag in action.option_strings}
    missing = flags - {"-h", "--help"} - set(re.findall(r"--?[a-z][a-z_-]*", page.text))
    assert not missing


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_tables_in_a_clone_are_those_of_the_program(path):
    text = path.read_text(encoding="utf-8")
    same = text == filled(text)
    assert same, "run python scripts/docs_hooks.py and commit what it writes"


def test_choices_of_options_have_no_backslashes():
    text = options_markdown() + spellings_markdown()
    assert "\\" not in text
    assert "One of: `auto`, `fmriprep`, `xcpd`, `hcp`, `ukb`" in text
    assert "{sub}&#95;{ses}" in text  # which would be in italics


@pytest.mark.slow
def test_a_clone_shows_every_option():
    page = (ROOT / "docs" / "reference" / "options.md").read_text(encoding="utf-8")
    flags = {flag for action in build_parser()._actions for flag in action.option_strings}
    shown = set(re.findall(r"--?[a-z][a-z_-]*", page))
    assert not flags - {"-h", "--help"} - shown


def test_scripts_that_are_named_exist():
    """Of a script that has left, the page names the commit that has it."""
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    named = re.findall(r"(?<!f075814d:)(?:benchmarks|studies|scripts)/\w+\.py", page)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named += re.findall(r"(?:benchmarks|studies|scripts)/\w+\.py", makefile)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
