"""Check what can be checked of a release without publishing it.

    python scripts/release_check.py [--release]

builds the files that an index would get, installs them into bare environments with the newest and
the oldest packages and on other Pythons that are at hand, and runs the program there;
docs/release.md says what else. Decisions that are open in the list of that page are reported; with
`--release` they are faults, and nothing else is done. Needs what `.[dev]` brings and a package
index; leaves no files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).parent.parent
DECISIONS = ROOT / "docs" / "release.md"
# Where a file names the version, as `bids_dtg/version.py` has it.
VERSIONS = {
    "CITATION.cff": r"^version: (\S+)$",
    ".zenodo.json": r'"version": "([^"]+)"',
    "CHANGELOG.md": r"^## (\S+) \(",
}
PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
# Extras for the work on the program itself.
_OF_DEVELOPERS = ("dev", "docs")
_OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# Extras of gigabytes, which the environment of developers has.
_LARGE = ("torch", "train")
# The place of a link or picture in Markdown.
_LINK = re.compile(r"\]\(<?([^)\s>]+)")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
# Pages that the build of the site makes, and to which it checks the links of its other pages.
_MADE = re.compile(r"(\.\./)*gallery/")
# How far maps of the oldest and the newest packages may be apart, of their largest value.
_ALIKE = 1e-4


def decisions(page: str, read: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """Return what is open, and what is decided but not carried out.

    Parameters
    ----------
    page
        Text with the table of decisions.
    read
        Returns the text of a file of the project.
    """
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ") and line.count("|") == 5
    ]
    open_, faults = [], []
    for decision, state, text, files in rows[1:]:
        if state == "open":
            open_.append(decision)
            continue
        if state != "decided":
            faults.append(f"{decision}: its state is '{state}'. Expected: open or decided")
        named = re.findall(r"`([^`]+)`", files)
        left = [name for name in named if text.strip("`") in read(name)]
        faults += [f"{decision}: decided, and {text} is still in {name}" for name in left]
    if len(rows) < 2:
        faults.append("docs/release.md has no table of decisions")
    return open_, faults


def differing_versions(version: str, read: Callable[[str], str]) -> list[str]:
    """Return the files that name another version."""
    faults = []
    for name, pattern in VERSIONS.items():
        found = re.search(pattern, read(name), re.MULTILINE)
        if found is None or found[1] != version:
            faults.append(f"{name}: version {found and found[1]}. Expected: {version}")
    return faults


def dead_links(text: str, folder: Path, address: str | None = None) -> list[str]:
    """Return what is wrong with the links of a page.

    Parameters
    ----------
    text
        The page, as Markdown.
    folder
        That relative links begin at.
    address
        Of the source's files: links below it lead to files, and no link may be relative.
    """
    dead = []
    for link in _LINK.findall(_FENCE.sub("", text)):
        place = link.partition("#")[0]
        if address is not None and place.startswith(address):
            place = place.removeprefix(address)
        elif re.match(r"[a-z]+:", link) or not place:
            continue
        elif address is not None:
            dead.append(f"{link} is relative")
            continue
        if not (folder / place).exists():
            dead.append(f"{link} leads nowhere")
    return dead


def pythons_at_hand(versions: Iterable[str]) -> dict[str, Path]:
    """Return interpreters of other versions that answer: on PATH, or installed beside this one."""
    found = {}
    for version in versions:
        beside = Path(sys.base_prefix).parent.glob(f"*{version}*/bin/python{version}")
        on_path = shutil.which(f"python{version}")
        for python in [*([Path(on_path)] if on_path else []), *sorted(beside)]:
            asked = subprocess.run([python, "-c", ""], capture_output=True, check=False)
            if version != _OWN_VERSION and asked.returncode == 0:
                found[version] = python
    return found


def _tracked() -> list[str]:
    listed = _run("git", "ls-files", "-z", cwd=ROOT)
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _run(*words: str | Path, cwd: Path) -> str:
    """Run a command without what this process has for its own Python; return what it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}\n{last}")
    return done.stdout


def _tool(name: str) -> Path:
    return Path(sys.executable).parent / name


class Release:
    """The files of a release in a folder, and what is checked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = tomllib.loads(_read("pyproject.toml"))["project"]

    @property
    def wheel(self) -> Path:
        """The wheel."""
        return next(self.folder.glob("dist/*.whl"))

    def pages(self) -> Iterator[str]:
        """Links lead to files, versions agree, and the descriptor is the parser's."""
        # Imported here, as the descriptor needs the whole program.
        from boutiques_descriptor import DESCRIPTOR, text

        from bids_dtg.version import __version__

        for name in _tracked():
            if name.endswith(".md"):
                for link in dead_links(_read(name), (ROOT / name).parent):
                    if not (name.startswith("docs/") and _MADE.match(link)):
                        yield f"{name}: {link}"
        yield from differing_versions(__version__, _read)
        if DESCRIPTOR.read_text(encoding="utf-8") != text():
            yield "the descriptor is not the parser's: run python scripts/boutiques_descriptor.py"

    def build(self) -> Iterator[str]:
        """Sdist, and wheel from it; both hold what git tracks."""
        words = ("-m", "build", "--installer", "uv", "--outdir", self.folder / "dist", ROOT)
        _run(sys.executable, *words, cwd=self.folder)
        _run(_tool("twine"), "check", "--strict", *self.folder.glob("dist/*"), cwd=self.folder)
        with tarfile.open(next(self.folder.glob("dist/*.tar.gz"))) as sdist:
            packed = {name.partition("/")[2] for name in sdist.getnames()}
        with zipfile.ZipFile(self.wheel) as wheel:
            installed = set(wheel.namelist())
            (metadata,) = (name for name in installed if name.endswith(".dist-info/METADATA"))
            text = wheel.read(metadata).decode()
        for name in _tracked():
            if name not in packed:
                yield f"the sdist lacks {name}"
            if name.startswith("bids_dtg/") and name not in installed:
                yield f"the wheel lacks {name}"
        description = text.partition("\n\n")[2]
        address = f"{self.project['urls']['Source']}/blob/main/"
        for link in dead_links(description, ROOT, address):
            yield f"the text for the index: {link}"

    def resolve(self) -> Iterator[str]:
        """Each extra can be installed; the core, reports and training everywhere, as wheels."""
        self._compile("--no-deps")  # fails here if there is no index, and not once for each extra
        asked = [("--extra", extra) for extra in self._extras()]
        wheels = ("--extra", "report", "--extra", "train", "--only-binary", ":all:")
        for python in self._pythons():
            for platform in PLATFORMS:
                place = ("--python-version", python, "--python-platform", platform)
                asked.append((*place, *wheels))
        # They mostly wait for the index.
        with ThreadPoolExecutor(4) as threads:
            for found in threads.map(self._unresolved, asked):
                yield from found

    def together(self, python: str | Path = sys.executable) -> Iterator[str]:
        """Packages of all extras that this environment has go together."""
        try:
            self._uv("check", "--python", python)
        except RuntimeError as err:
            yield str(err)

    def alone(self) -> Iterator[str]:
        """Packages of each small extra go together, in an environment of its own."""
        with ThreadPoolExecutor(4) as threads:
            for _ in threads.map(self._install, set(self._extras()) - {*_LARGE}):
                yield from ()  # what does not go together has ended the check

    def newest(self) -> Iterator[str]:
        """The demo of the wheel with the newest packages ends with all its maps."""
        self._program("report", "dtg-demo", "demo", "--participants", "1")
        yield from self._too_few("demo/maps")

    def elsewhere(self) -> Iterator[str]:
        """Maps with the oldest packages, and on other Pythons at hand, are those of the newest."""
        at_hand = pythons_at_hand(self._pythons())
        tried = {"the oldest packages": self._install_oldest}
        for version, python in at_hand.items():
            tried[f"Python {version}"] = partial(self._install, "report", f"on-{version}", python)
        # They wait for downloads.
        with ThreadPoolExecutor(4) as threads:
            for found in threads.map(self._same_maps, tried.items()):
                yield from found
        for version in sorted({*self._pythons()} - {*at_hand, _OWN_VERSION}):
            print(f"release-check: not run: Python {version}, which is not at hand")

    def _same_maps(self, tried: tuple[str, Callable[[], str]]) -> list[str]:
        name, install = tried
        environment = install()
        output = f"maps-{environment}"
        words = ("demo/simulated/fmriprep", output, "participant", "--model", "demo")
        self._program(environment, "bids_dtg", *words)
        apart = max(
            _apart(path, self.folder / output / path.relative_to(self.folder / "demo/maps"))
            for path in self._maps("demo/maps")
        )
        print(f"release-check: maps with {name} differ by {apart:.1e} at most")
        too_far = f"maps with {name} differ by {apart:.1e} of the largest value"
        return [*self._too_few(output), *([too_far] if apart > _ALIKE else [])]

    def _install(self, extra: str, name: str = "", python: str | Path = sys.executable) -> str:
        """Install the wheel with an extra into an environment; return its name."""
        name = name or extra
        self._environment(name, python)
        self._uv("install", "--python", name, f"{self.wheel}[{extra}]")
        self._uv("check", "--python", name)
        return name

    def _install_oldest(self) -> str:
        pinned = self._compile("--extra", "report", "--resolution", "lowest-direct")
        (self.folder / "oldest.txt").write_text(pinned, encoding="utf-8")
        self._environment("oldest")
        self._uv("install", "--python", "oldest", "--requirement", "oldest.txt")
        self._uv("install", "--python", "oldest", "--no-deps", self.wheel)
        self._uv("check", "--python", "oldest")
        return "oldest"

    def _extras(self) -> list[str]:
        return [
            each for each in self.project["optional-dependencies"] if each not in _OF_DEVELOPERS
        ]

    def _pythons(self) -> list[str]:
        found = [re.fullmatch(r".*:: (3\.\d+)", row) for row in self.project["classifiers"]]
        return [match[1] for match in found if match]

    def _environment(self, name: str, python: str | Path = sys.executable) -> None:
        _run(_tool("uv"), "venv", "--quiet", "--python", python, name, cwd=self.folder)

    def _uv(self, *words: str | Path) -> str:
        return _run(_tool("uv"), "pip", words[0], "--quiet", *words[1:], cwd=self.folder)

    def _compile(self, *words: str) -> str:
        return self._uv("compile", "--no-header", "--no-annotate", ROOT / "pyproject.toml", *words)

    def _unresolved(self, words: tuple[str, ...]) -> list[str]:
        try:
            self._compile(*words)
        except RuntimeError as err:
            return [str(err)]
        return []

    def _program(self, environment: str, name: str, *words: str) -> None:
        _run(self.folder / environment / "bin" / name, *words, cwd=self.folder)

    def _maps(self, output: str) -> list[Path]:
        return sorted((self.folder / output).rglob("sub-*_desc-synthetic_statmap.nii.gz"))

    def _too_few(self, output: str) -> Iterator[str]:
        if (found := len(self._maps(output))) != 47:
            yield f"{found} maps in {output}. Expected: 47"


def _apart(first: Path, second: Path) -> float:
    """Return the largest difference of two maps beside the largest value."""
    values, others = (np.asarray(nib.load(path).dataobj) for path in (first, second))
    return float(np.abs(values - others).max() / np.abs(values).max())


def main(words: list[str] | None = None) -> int:
    """Run all checks; return how the program ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--release", action="store_true", help="refuse open decisions")
    refuse = parser.parse_args(words).release
    open_, faults = decisions(_read("docs/release.md"), _read)
    for decision in open_:
        print(f"release-check: open: {decision}")
    if refuse and open_:
        return _ended([*faults, *(f"{decision}: open in docs/release.md" for decision in open_)])
    with tempfile.TemporaryDirectory() as folder:
        release = Release(Path(folder))
        for check in (
            *(release.pages, release.build, release.resolve, release.together),
            *(release.alone, release.newest, release.elsewhere),
        ):
            started = time.monotonic()
            try:
                found = list(check())
            except RuntimeError as err:
                # What follows needs what was to be made.
                return _ended([*faults, str(err)])
            faults += found
            word = "faults in" if found else "ok:"
            purpose = (check.__doc__ or "").partition("\n")[0]
            print(f"release-check: {word} {purpose} {time.monotonic() - started:.0f} s", flush=True)
    return _ended(faults)


def _ended(faults: list[str]) -> int:
    for fault in faults:
        print(f"release-check: error: {fault}", file=sys.stderr)
    print(f"release-check: {'failed' if faults else 'nothing found'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
