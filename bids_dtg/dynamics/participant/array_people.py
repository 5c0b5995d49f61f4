"""People of the network model from files of arrays (``--input-arrays``)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bids_dtg.cohort.array_people import read_rows
from bids_dtg.dynamics.participant.source import Array, Faults, NetworkSource, SessionRest
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.arrays import ArrayPeople, PeopleArray, read_arrays, read_key_names
from bids_dtg.inputs.rest_sketch import sketch

_CLEANING = "arrays, cleaned before"


class _ArraySession(SessionRest):
    def __init__(self, rest: PeopleArray, structural: PeopleArray | None) -> None:
        super().__init__(
            rest.session, rest.stored.title, rest.tr_seconds, rest.stored.shape[2], rest.rows
        )
        self._rest, self._structural = rest, structural

    def series(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        return read_rows(self._rest, labels, faults, "series that vary, of finite values")

    def sketches(self, labels: Sequence[str]) -> dict[str, str]:
        found = {}
        # Reading backward may restart a compressed file: rows are read in their order.
        for label in sorted(self.labels.intersection(labels), key=self._rest.rows.__getitem__):
            with suppress(DatasetError):  # a later step says why it cannot be used
                found[label] = sketch(self._rest.of(label))
        return found

    def weights(self, labels: Sequence[str], faults: Faults) -> list[Array]:
        assert self._structural is not None  # they were asked for at the start
        return read_rows(self._structural, labels, faults, "symmetric weights of 0 or more")


def find_array_people(
    paths: Sequence[str], keys: Sequence[str], *, connected: bool = True
) -> NetworkSource:
    """Read array files; of series and structural connectomes, only the shapes.

    Parameters
    ----------
    paths, keys
        Values of ``--input-arrays`` and ``--array-key``.
    connected
        Whether structural connectomes are needed; else none are read.

    Raises
    ------
    DatasetError
        A file cannot be used, or there are no series or no structural connectomes.
    SettingsError
        `keys` are invalid.
    """
    arrays = read_arrays(paths, keys)
    if len(arrays.places) < 2:
        raise DatasetError("there is 1 place", expected="2 or more: regions of a network")
    structural = _require_structural(arrays, keys) if connected else None
    return NetworkSource(
        paths=arrays.files,
        labels=arrays.labels,
        regions=arrays.places,
        sessions=tuple(_ArraySession(rest, structural) for rest in arrays.rest),
        connected=frozenset(() if structural is None else structural.rows),
        families=arrays.families,
        notes=arrays.notes,
        cleaning=_CLEANING,
    )


def _require_structural(arrays: ArrayPeople, keys: Sequence[str]) -> PeopleArray:
    """Return the structural connectomes; refuse arrays without them."""
    if arrays.structural is None:
        key = read_key_names(keys)["structural"]
        raise DatasetError(
            f"no file has structural connectomes under the key {key}",
            expected="structural (people, places, places): connections between regions",
            remedy="give the key with --array-key structural=KEY",
        )
    return arrays.structural
