"""Write what `release.toml` decides into the files that show it; print the text of the release.

    python scripts/release.py values [owner/name]
    python scripts/release.py text

`make release` calls both. The values are changes to commit; the text is Markdown for the release's
page, with the hashes of the files in dist/.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DECISIONS = "release.toml"
# Files with addresses of the repository or of its site.
ADDRESSED = ("README.md", "SECURITY.md", "pyproject.toml")
UNDECIDED = "OWNER"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_SOURCE = re.compile(r'Source = "https://github\.com/(.*)/(.*)"')
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")


@dataclass(frozen=True)
class Author:
    """A person with given and family names, or a group, whose `given` is empty."""

    given: str
    family: str
    orcid: str

    @property
    def name(self) -> str:
        """The name as it is written in a sentence."""
        return f"{self.given} {self.family}".strip()

    def citation_lines(self) -> str:
        """Return the author's entry in CITATION.cff."""
        if not self.given:
            return f"  - name: {self.family}\n"
        lines = f"  - family-names: {self.family}\n    given-names: {self.given}\n"
        if self.orcid:
            lines += f"    orcid: https://orcid.org/{self.orcid}\n"
        return lines

    def creator(self) -> dict[str, str]:
        """Return the author's entry in .zenodo.json."""
        name = f"{self.family}, {self.given}" if self.given else self.family
        return {"name": name} | ({"orcid": self.orcid} if self.orcid else {})


@dataclass(frozen=True)
class Release:
    """What was decided, and the version."""

    owner: str
    name: str
    doi: str
    weights_licence: str
    authors: tuple[Author, ...]
    version: str

    @property
    def repository(self) -> str:
        """Owner and name, as in addresses."""
        return f"{self.owner}/{self.name}"

    @property
    def image(self) -> str:
        """The image's name without its tag; registries take lower case only."""
        return f"ghcr.io/{self.repository}".lower()


def read_release(root: Path, repository: str = "") -> Release:
    """Read the decisions and the version.

    Parameters
    ----------
    root
        Folder of the repository.
    repository
        `owner/name`, in place of those in the file.

    Raises
    ------
    SystemExit
        A value is missing, or cannot be right.
    """
    decisions = tomllib.loads((root / DECISIONS).read_text("utf-8"))
    repository = repository or f"{decisions['owner']}/{decisions['name']}"
    doi = decisions["doi"]
    authors = [_author(entry) for entry in decisions["authors"]]
    if not _REPOSITORY.fullmatch(repository) or repository.startswith(f"{UNDECIDED}/"):
        sys.exit(
            f"the repository is {repository}. To do: make release RELEASE=owner/name, "
            f"with the account that will hold it, or write both into {DECISIONS}"
        )
    if doi and not _DOI.fullmatch(doi):
        sys.exit(
            f"{DECISIONS}: doi is {doi!r}. Expected: 10.5281/zenodo.123, or nothing"
        )
    for author in authors:
        if author.orcid and not _ORCID.fullmatch(author.orcid):
            sys.exit(
                f"{DECISIONS}: orcid of {author.name} is {author.orcid!r}. "
                "Expected: four blocks of four digits"
            )
    owner, _, name = repository.partition("/")
    version_module = (root / "bids_dtg/version.py").read_text("utf-8")
    version = re.search(r'__version__ = "(.*)"', version_module)
    return Release(
        owner, name, doi, decisions["weights_licence"], tuple(authors), version[1]
    )


def _author(entry: dict[str, str]) -> Author:
    if not entry.get("name") and not (entry.get("given") and entry.get("family")):
        sys.exit(
            f"{DECISIONS}: {entry} is no author. Expected: given and family, or name"
        )
    family = entry.get("name") or entry["family"]
    return Author(entry.get("given", ""), family, entry.get("orcid", ""))


def shown_values(release: Release) -> list[tuple[str, str, str]]:
    """Return each file that shows a value, the pattern of that place, and its new text.

    The patterns find what is written there before a release and after one.
    """
    names = [_quoted(author.name) for author in release.authors]
    citation = "".join(author.citation_lines() for author in release.authors)
    creators = json.dumps(
        [author.creator() for author in release.authors], ensure_ascii=False
    )
    doi = f"doi: {release.doi}\n" if release.doi else ""
    tag = f"{release.image}:{release.version}"
    linux = "You need Linux and Python 3.11 or newer."
    published = (
        "The published image, `{}`, has no published weights; for them, build it"
    )
    return [
        (DECISIONS, r"^owner = .*$", f"owner = {_quoted(release.owner)}"),
        (DECISIONS, r"^name = .*$", f"name = {_quoted(release.name)}"),
        ("README.md", r"(?<= && cd )\S+$", release.name),
        ("README.md", rf"{re.escape(linux)}( `{UNDECIDED}` .*)?$", linux),
        (
            "pyproject.toml",
            r"^authors = .*$",
            f"authors = [{', '.join(f'{{name = {name}}}' for name in names)}]",
        ),
        ("bids_dtg/version.py", r"^AUTHORS = .*$", f"AUTHORS = ({', '.join(names)},)"),
        ("CITATION.cff", r"^authors:\n(  .*\n)+", f"authors:\n{citation}"),
        (
            "CITATION.cff",
            r"^version: .*\n(doi: .*\n)?",
            f"version: {release.version}\n{doi}",
        ),
        (".zenodo.json", r'"version": ".*"', f'"version": "{release.version}"'),
        (".zenodo.json", r'"creators": .*(?=,$)', f'"creators": {creators}'),
        ("examples/brainlife/run", r"^published=.*$", f"published=docker://{tag}"),
        (
            "scripts/boutiques_descriptor.py",
            r'^_IMAGE = "[^"]*"',
            f"_IMAGE = {_quoted(release.image)}",
        ),
        (
            "docs/how-to/containers.md",
            f"No image is published yet, so build it|{published.format('.*')}",
            published.format(tag),
        ),
        (
            "docs/how-to/containers.md",
            r"The weights are under .*?: make sure",
            f"The weights are under {release.weights_licence}: make sure",
        ),
    ]


def write_values(root: Path, release: Release) -> list[str]:
    """Write the values of a release; return the names of the files that changed.

    Raises
    ------
    SystemExit
        A file has no place for its value any more.
    """
    shown = shown_values(release)
    files = dict.fromkeys([*ADDRESSED, *(file for file, _, _ in shown)])
    before = {file: (root / file).read_text("utf-8") for file in files}
    after = dict(before)
    owner, name = _SOURCE.search(before["pyproject.toml"]).groups()
    for file in ADDRESSED:
        addressed = before[file].replace(
            f"{owner}.github.io/{name}", f"{release.owner}.github.io/{release.name}"
        )
        for host in ("github.com", "raw.githubusercontent.com"):
            addressed = addressed.replace(
                f"{host}/{owner}/{name}", f"{host}/{release.repository}"
            )
        after[file] = addressed
    for file, pattern, value in shown:
        place = re.search(pattern, after[file], re.MULTILINE)
        if not place:
            sys.exit(
                f"{file} has no text like {pattern!r}. To do: mend scripts/release.py"
            )
        after[file] = after[file][: place.start()] + value + after[file][place.end() :]
    changed = [file for file in files if after[file] != before[file]]
    for file in changed:
        (root / file).write_text(after[file], "utf-8")
    return changed


def _quoted(text: str) -> str:
    """Return a string as TOML and Python write it."""
    return json.dumps(text, ensure_ascii=False)


def release_text(root: Path, release: Release) -> str:
    """Return the text of the release: what is new, how to get it, hashes of its files."""
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    heading = rf"^## {re.escape(release.version)} .*\n((?:(?!## ).*\n?)*)"
    news = re.search(heading, changelog, re.MULTILINE)
    if not news:
        sys.exit(f"CHANGELOG.md has no section {release.version}")
    # Links of the changelog lead to files of the repository, which the release's page is not in.
    files_of_tag = f"https://github.com/{release.repository}/blob/v{release.version}/"
    news_text = re.sub(r"\]\((?!https?:)", f"]({files_of_tag}", news[1].strip())
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    package = project["name"]
    files = sorted((root / "dist").iterdir())
    hashes = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in files
    ]
    doi = []
    if release.doi:
        doi = [f"DOI: [{release.doi}](https://doi.org/{release.doi})"]
    lines = [
        f"# bids_dtg {release.version}",
        news_text,
        "## Install",
        f"    pip install {package}=={release.version}\n"
        f"    docker pull {release.image}:{release.version}",
        f"No file or image has the published weights, which are under "
        f"{release.weights_licence}; `dtg-models fetch` downloads them.",
        *doi,
        "## SHA-256",
        "\n".join(f"    {line}" for line in hashes),
    ]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    """Write the values, or print the text."""
    task, *repository = sys.argv[1:] or [""]
    if task not in {"values", "text"}:
        sys.exit(__doc__)
    release = read_release(ROOT, *repository)
    if task == "text":
        print(release_text(ROOT, release), end="")
        return
    changed = write_values(ROOT, release)
    descriptor = ROOT / "scripts" / "boutiques_descriptor.py"
    subprocess.run([sys.executable, descriptor], check=True)
    print(
        f"{release.repository}: {', '.join(changed) or 'nothing'} changed; see git diff"
    )


if __name__ == "__main__":
    main()
