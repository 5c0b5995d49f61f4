"""The last that is written of an average: its methods text, and the record that it is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bids_dtg.cleaning.words import Lacking
from bids_dtg.errors import OutputError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path, parse_name
from bids_dtg.files.provenance import (
    Fingerprint,
    options_hash,
    recorded_outputs,
    write_completion,
)
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.report.methods import keep_methods, methods_path

if TYPE_CHECKING:
    from bids_dtg.participants.request import CallRequest


def complete_average(
    request: CallRequest,
    planned: AveragedRuns,
    inputs: Mapping[str, Fingerprint],
    files: Sequence[PurePosixPath],
    lacking: Lacking,
) -> None:
    """Record that an average is complete, once all else of it has been written.

    Parameters
    ----------
    request
        What the call asks for: its output dataset, its options and its methods text.
    planned
        The runs that are averaged.
    inputs
        Fingerprints of the input files, by path.
    files
        All that was written of it.
    lacking
        What the tables of its runs lack, which its methods text says.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    output, options = request.output, request.recorded_options
    # What other options had written, as maps in another space, must not lie beside.
    for left in set(recorded_outputs(output, planned.title)) - set(files):
        if _is_of(output, planned, left):
            output.remove(left)
    path = methods_path(options_hash(options), lacking)
    keep_methods(output, path, request.methods(lacking))
    # Last: whoever is killed before this line does all of the above again.
    write_completion(
        output,
        planned.title,
        options=options,
        inputs=inputs,
        outputs=[output.path(file) for file in files],
        methods=path,
    )


def _is_of(output: DerivativeDataset, planned: AveragedRuns, path: PurePosixPath) -> bool:
    """Return whether a file has a name of this average, in the participant's own folder.

    A record may have come with somebody else's folder; and others use what is shared.
    """
    try:
        name = parse_name(path.name)
        named = dict(name.entities)
        if path != build_path(named, name.suffix, name.extension, datatype=path.parent.name):
            return False
    except (ValueError, KeyError, OutputError):
        return False
    folder = output.path(f"sub-{planned.participant}").resolve()
    inside = output.path(path).parent.resolve().is_relative_to(folder)
    return inside and dict(planned.entities).items() <= named.items()
