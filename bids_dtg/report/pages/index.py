"""The index at the output's root: who has a report, and where the rest is."""

from __future__ import annotations

from dataclasses import dataclass

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import find_participant_labels
from bids_dtg.report.pages.page import link, render
from bids_dtg.report.workflows import workflow_of

INDEX, GROUP = "index.html", "group.html"
# Other processes may add reports at the same time; each looks again after it has written.
_TRIES = 5


@dataclass(frozen=True)
class Listed:
    """A participant on the index."""

    label: str
    address: str | None  # of the report; None where there is none


def write_index(dataset: DerivativeDataset) -> None:
    """Write the index anew where it does not list what is there."""
    workflow = workflow_of(dataset)
    for _ in range(_TRIES):
        listed = _list(dataset)
        page = render(
            "index.html",
            title=workflow.title,
            about=workflow.about,
            sections=[],
            listed=listed,
            group=GROUP if (dataset.root / GROUP).is_file() else None,
            others=[
                (text, name)
                for text, name in (
                    ("Methods text", "logs/CITATION.md"),
                    ("About this dataset", "README"),
                    ("Logs of all calls", "logs"),
                )
                if (dataset.root / name).exists()
            ],
        )
        write_text(dataset.path(INDEX), page)
        if _list(dataset) == listed:
            return


def _list(dataset: DerivativeDataset) -> list[Listed]:
    reports = {
        p.name.removeprefix("sub-").removesuffix(".html"): p
        for p in dataset.root.glob("sub-*.html")
    }
    labels = sorted({*find_participant_labels(dataset), *reports})
    return [
        Listed(label, link(reports[label], dataset) if label in reports else None)
        for label in labels
    ]
