"""Who is in a dataset, and who of them was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.dataset import MOUNT_REMINDER, InputDataset, seen
from bids_dtg.inputs.folder_runs import person_folders
from bids_dtg.inputs.studies import STUDIES


def select_participants(dataset: InputDataset, labels: Sequence[str] = ()) -> tuple[str, ...]:
    """List the participants asked for, in the dataset's order; all where no label is given.

    Raises
    ------
    DatasetError
        If the dataset has no participants, or not those asked for (the near ones are named).
    SettingsError
        If something is no label at all.
    """
    root, study = dataset.root, STUDIES.get(dataset.input_type)
    if study is None:
        present = participants_in(root)
        asked = {plain_label(label, "sub") for label in labels}
    else:
        folders = [f for f in person_folders(study, root) if (f.path / study.sign).is_dir()]
        present = tuple(dict.fromkeys(folder.participant for folder in folders))
        # Names of folders will do as well.
        known = [study.labels(label.removeprefix("sub-")) for label in labels]
        asked = {
            person[0] if person else plain_label(label, "sub")
            for person, label in zip(known, labels, strict=True)
        }
    if not present:
        what = study.sign if study else "sub-*"
        raise DatasetError(
            f"{root} has no participants (no {what} folder), but {seen(root)}",
            remedy=MOUNT_REMINDER,
        )
    unknown = sorted(asked - set(present))
    if unknown:
        near = sorted({n for u in unknown for n in difflib.get_close_matches(u, present, 3, 0.5)})
        some = near or [*present[:5], *(["…"] if len(present) > 5 else [])]
        raise DatasetError(
            f"{root} has no participant {', '.join(unknown)}",
            expected=f"{'near ones are' if near else 'e.g.'} {', '.join(some)} "
            f"({len(present)} participants there)",
        )
    return tuple(label for label in present if not asked or label in asked)
