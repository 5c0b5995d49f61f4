"""The index at the output's root: participants' reports, their flags, and other pages."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import find_participant_labels
from bids_dtg.report.flags import FlagCount
from bids_dtg.report.pages.page import link, render
from bids_dtg.report.pages.participant import read_flag_count
from bids_dtg.report.presentation import presentation_of

INDEX, GROUP = "index.html", "group.html"
UNFINISHED = "UNFINISHED.txt"  # in the folder of an analysis that is at work, or was cut off
MODEL_PAGE = "report.html"  # in the folder of an analysis
STATISTICS_PAGE = "statistics_report.html"  # in that of one over people
_OTHERS = ("logs/CITATION.md", "README", "logs")  # that the template has words for
# Other processes may add reports at the same time; each looks again after it has written.
_TRIES = 5
# The beginning of so many reports is read for their flags; of more, the group page has them.
_MOST_READ = 2000
# Beyond so many participants a list is no page any more; reports can be opened by their names.
_MOST_LISTED = 10_000


# A participant: label, address of the report (None: there is none) and its flags (None: unknown).
Listed: TypeAlias = tuple[str, str | None, FlagCount | None]


def write_index(dataset: DerivativeDataset, *, wanted: bool = True) -> None:
    """Write the index anew where it does not list what is there.

    Where no reports are wanted, only one that is there is written anew: it may list some that are
    gone.
    """
    if not wanted and not (dataset.root / INDEX).is_file():
        return
    presentation = presentation_of(dataset)
    for _ in range(_TRIES):
        listed = _list(dataset)
        page = render(
            "index.html",
            title=presentation.title,
            about=presentation.about,
            sections=[],
            listed=listed[:_MOST_LISTED],
            number=len(listed),
            flags=[count for *_, count in listed if count is not None],
            group=GROUP if (dataset.root / GROUP).is_file() else None,
            analyses=[
                (page.parent.name, link(page, dataset), page.name == MODEL_PAGE)
                for name in (MODEL_PAGE, presentation.analysis_page, STATISTICS_PAGE)
                for page in sorted(dataset.root.glob(f"group/*/{name}"))
                if name
            ],
            unfinished=[
                mark.parent.name for mark in sorted(dataset.root.glob(f"group/*/{UNFINISHED}"))
            ],
            others=[name for name in _OTHERS if (dataset.root / name).exists()],
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
    few = len(reports) <= _MOST_READ
    return [_listed(label, reports.get(label), dataset, flags=few) for label in labels]


def _listed(label: str, report: Path | None, dataset: DerivativeDataset, *, flags: bool) -> Listed:
    if report is None:
        return label, None, None
    return label, link(report, dataset), read_flag_count(report) if flags else None
