"""Failures that earlier calls have logged and that nothing later has made good."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import Failure
from bids_dtg.files.text import read_json, read_rows


def last_failures(dataset: DerivativeDataset, participant: str) -> tuple[Failure, ...]:
    """Return the failures of a participant in the last call that tells of any."""
    return tuple(failure for failure in all_failures(dataset) if failure.participant == participant)


def all_failures(dataset: DerivativeDataset) -> tuple[Failure, ...]:
    """Return everybody's failures that still stand.

    Of each participant those of the newest call that logged any; and of them only
    those without a set of maps completed since.
    """
    newest: dict[str, tuple[datetime, list[Failure]]] = {}
    for begun, failure in _logged(dataset):
        if newest.get(failure.participant, (begun, []))[0] != begun:
            newest[failure.participant] = (begun, [])
        newest.setdefault(failure.participant, (begun, []))[1].append(failure)
    return tuple(
        failure
        for participant, (begun, failures) in sorted(newest.items())
        for failure in failures
        if not _made_good(dataset, participant, failure.stage, begun)
    )


def _logged(dataset: DerivativeDataset) -> Iterator[tuple[datetime, Failure]]:
    # Names of run folders begin with their time: sorted, the newest comes last.
    for table in sorted(dataset.root.glob("logs/*/failures.tsv")):
        try:
            begun = datetime.strptime(table.parent.name.partition("-")[0], "%Y%m%dT%H%M%SZ")
        except ValueError:
            continue
        for row in read_rows(table):
            label = (row.get("participant_id") or "").removeprefix("sub-")
            failure = Failure(label, row.get("stage") or "", row.get("message") or "")
            yield begun.replace(tzinfo=timezone.utc), failure


def _made_good(dataset: DerivativeDataset, participant: str, stage: str, begun: datetime) -> bool:
    """Tell whether what failed was completed after that call had begun.

    What failed outside a set, as the search for runs, is made good by any set.
    """
    folder = dataset.root / "logs" / "complete"
    exact = folder / f"{stage}.json"
    records = [exact] if stage.startswith("sub-") else sorted(folder.glob("sub-*.json"))
    mine = (r for r in records if r.name.startswith((f"sub-{participant}_", f"sub-{participant}.")))
    for record in mine:
        try:
            if datetime.fromisoformat(str(read_json(record).get("Completed"))) > begun:
                return True
        except (ValueError, TypeError):
            continue
    return False
