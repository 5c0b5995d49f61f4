"""What a BIDS filter file leaves of a participant's functional files, by pybids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import reading
from bids_dtg.files.names import ENTITY_ORDER

_WHOLE_NUMBERS = frozenset({"run", "echo"})


def filtered_names(
    root: Path, participant: str, filters: Mapping[str, Any], sessions: Sequence[str] = ()
) -> frozenset[str]:
    """Return the names of a participant's functional files that filters leave.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    participant
        Participant's label, without `sub-`.
    filters
        By keys of BIDS names; None is "no such entity" and "*" any value.
    sessions
        Labels without `ses-`; all where empty.

    Raises
    ------
    RunError
        pybids cannot read a name.
    """
    from bids import BIDSLayout, BIDSLayoutIndexer

    folder = root / f"sub-{participant}"
    allowed = "|".join(map(re.escape, sessions)) if sessions else "[^/]+"
    with reading(folder, RunError, as_what=" by pybids"):
        indexer = BIDSLayoutIndexer(
            validate=False,
            index_metadata=False,
            config_filename="\n",  # a file of the usual name in the dataset is not meant for us
            ignore=[
                re.compile(rf"^/(?!func(/|$)|ses-({allowed})(/|$))"),
                re.compile(r"^/ses-[^/]+/(?!func(/|$))"),
            ],
        )
        # Only the participant's folder is walked: the root of a large dataset takes longer.
        layout = BIDSLayout(
            folder, validate=False, is_derivative=True, config=[_config()], indexer=indexer
        )
        wanted = {name: _query(value) for name, value in filters.items()}
        found = layout.get(return_type="file", invalid_filters="allow", **wanted)
    # Names, as pybids may have resolved a link on the way to a file.
    return frozenset(Path(path).name for path in found)


def _query(value: Any) -> Any:
    from bids.layout import Query

    if isinstance(value, list):
        return [_query(item) for item in value]
    words = {None: Query.NONE, "*": Query.ANY} | {str(query): query for query in Query}
    return words.get(value, value)


def _config() -> dict[str, Any]:
    """Return patterns that see the name of a file alone; those of pybids see the whole path."""
    numbers, labels = r"([0-9]+)", r"([0-9A-Za-z+]+)"
    entities = [
        {
            "name": key,
            "pattern": rf"(?:^|[_/\\]){key}-{numbers if key in _WHOLE_NUMBERS else labels}"
            r"(?=[^/\\]*$)",
            "dtype": "int" if key in _WHOLE_NUMBERS else "str",
        }
        for key in ENTITY_ORDER
    ]
    others = {
        "datatype": r"[/\\]([a-z]+)[/\\][^/\\]*$",
        "suffix": r"(?:^|[_/\\])([0-9A-Za-z+]+)\.[^/\\]+$",
        "extension": r"[^./\\](\.[^/\\]+)$",
    }
    entities += [{"name": name, "pattern": pattern} for name, pattern in others.items()]
    return {"name": "bids_dtg", "entities": entities}
