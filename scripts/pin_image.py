"""Pin all packages of the image by their hashes, in container/requirements*.txt.

    python scripts/pin_image.py

writes these files. Run it after a change in `constraints.txt` or in the dependencies of
`pyproject.toml`. It needs uv, which `.[dev]` installs, and the package index. The hashes are those
of all files of a version in the index, for any machine and Python 3.11 or newer.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Packages that build the program, which pip would otherwise fetch without a hash.
BUILD = ("hatchling>=1.27", "hatch-fancy-pypi-readme>=24.1")
# Extras of every image, and of images with PyTorch, which can train models.
EXTRAS, TORCH_EXTRAS = ("bids",), ("cluster", "torch", "train", "umap")
# Packages that only PyTorch for the GPU needs.
_CUDA = re.compile(r"torch|triton|cuda-.*|nvidia-.*")
_NAME = re.compile(r"[a-z0-9-]+")

ALL, TORCH, CUDA = (
    ROOT / "container" / f"requirements{end}.txt" for end in ("", "-torch", "-cuda")
)
_HEADERS = {
    ALL: "# What every image installs.\n",
    TORCH: "# What images with any build of PyTorch have besides: it trains there.\n",
    CUDA: "# PyTorch for the GPU and what only it needs; `===` takes no other build of it.\n",
}
_MADE = "# Made by scripts/pin_image.py from pyproject.toml and constraints.txt.\n"


def compiled(extras: Iterable[str], uv: str = "uv") -> str:
    """Resolve the image's packages with uv; return requirements with hashes, in pip's format."""
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder) / "build.in"
        build.write_text("\n".join(BUILD), encoding="utf-8")
        words = [uv, "pip", "compile", "pyproject.toml", str(build)]
        words += [word for extra in extras for word in ("--extra", extra)]
        words += [
            "--constraint",
            "constraints.txt",
            "--universal",
            "--python-version",
            "3.11",
        ]
        words += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(f"uv failed: {done.stderr}")
    return done.stdout


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each requirement, and its lines."""
    for block in re.split(r"\n(?=\S)", text.strip()):
        if name := _NAME.match(block):
            yield name[0], block + "\n"


def files(core: str, everything: str) -> dict[Path, str]:
    """Return the files' content, from uv's requirements without and with PyTorch."""
    content = {path: header + _MADE for path, header in _HEADERS.items()}
    of_all = {name for name, _ in blocks(core)}
    for name, block in blocks(everything):
        exact = block.replace("torch==", "torch===", 1) if name == "torch" else block
        path = TORCH
        if _CUDA.fullmatch(name):
            path = CUDA
        elif name in of_all:
            path = ALL
        content[path] += exact
    return content


if __name__ == "__main__":
    uv = sys.argv[1:]
    pinned = files(compiled(EXTRAS, *uv), compiled((*EXTRAS, *TORCH_EXTRAS), *uv))
    for path, content in pinned.items():
        path.write_text(content, encoding="utf-8")
