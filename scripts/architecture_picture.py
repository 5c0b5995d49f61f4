"""Draw docs/architecture.svg from the import contract in pyproject.toml.

python scripts/architecture_picture.py
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
# What each layer is for; layers that are missing here are programs or too small to draw.
PURPOSES = {
    "cli": "arguments → Settings; exit codes",
    "contrasts": "connectome → contrast maps",
    "dynamics": "regions' parameters, simulated activity",
    "twin": "networks that perform tasks",
    "statistics": "analyses over people, of any model's output",
    "cohort": "the people of an analysis, the folder of its results",
    "participants": "the participant level that all workflows share",
    "phantom": "what simulators of people share",
    "report": "pages, figures, methods text",
    "bundles": "models: verified, written, installed",
    "training": "the loop that all networks share",
    "stats": "splits, scores, intervals, tests over people",
    "cleaning": "strategies, confounds, the temporal design",
    "connectome": "cleaning as a projection; sums in one pass",
    "imaging": "NIfTI in blocks, grids, transforms",
    "inputs": "datasets, runs, spaces, measured maps",
    "engine": "processes, reading ahead, capacity, progress",
    "files": "BIDS names; whole files or none; provenance",
    "settings": "every option, once; its hash; TOML",
    "errors": "found, expected, what to do",
}
OPEN_FILES = {
    *("cohort", "participants", "phantom", "report", "bundles"),
    *("imaging", "inputs", "files", "settings"),
}
_WIDTH, _HEIGHT, _GAP, _TOP = 250, 38, 10, 46


def layers() -> list[list[str]]:
    """Return the layers from top to bottom, each with its modules."""
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rows = contract.split("layers = [")[1].split("]")[0].strip().splitlines()
    named = [re.findall(r"\w+", row) for row in rows]
    return [drawn for row in named if (drawn := [name for name in row if name in PURPOSES])]


def svg() -> str:
    """Return the picture."""
    boxes, y = [], _TOP
    for row in layers():
        width = (_WIDTH - _GAP * (len(row) - 1)) / len(row)
        for column, name in enumerate(row):
            x = 20 + column * (width + _GAP)
            fill = "#d9ecff" if name in OPEN_FILES else "#f1eefc"
            boxes.append(
                f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{_HEIGHT}" rx="6" '
                f'fill="{fill}" stroke="#4a5a78"/>'
                f'<text x="{x + width / 2:g}" y="{y + 24}" text-anchor="middle" '
                f'font-weight="600">{name}</text>'
            )
        purpose = "; ".join(PURPOSES[name] for name in row)
        boxes.append(f'<text x="{_WIDTH + 36}" y="{y + 24}">{purpose}</text>')
        y += _HEIGHT + _GAP
    end = y + 36
    body = "\n".join(boxes)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {end}" font-family="sans-serif" \
font-size="14" fill="#1d2433">
<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 10 5 0 10z" fill="#4a5a78"/></marker></defs>
<rect width="660" height="{end}" fill="#ffffff"/>
<text x="20" y="28" font-weight="600">Imports point downward only</text>
<line x1="8" y1="{_TOP + 4}" x2="8" y2="{y - 18}" stroke="#4a5a78" stroke-width="2" \
marker-end="url(#tip)"/>
{body}
<rect x="20" y="{y + 4}" width="16" height="16" fill="#d9ecff" stroke="#4a5a78"/>
<text x="44" y="{y + 17}">opens files</text>
<rect x="150" y="{y + 4}" width="16" height="16" fill="#f1eefc" stroke="#4a5a78"/>
<text x="174" y="{y + 17}">arrays and plain values only</text>
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
