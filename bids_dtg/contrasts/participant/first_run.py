"""The first run of a call: its file is inflated while the program's libraries are imported.

Which file that is, and which of its voxels the model reads, is found here by modules that import
NumPy at most. It is a guess: the work on the participant finds runs by all the rules, and uses
what was inflated where it is the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg.imaging.begun import inflating
from bids_dtg.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bids_dtg.imaging.grid import Grid
    from bids_dtg.inputs.run import RestRun


@contextmanager
def begin_first_run(settings: Settings) -> Iterator[None]:
    """Have the first participant's first file inflated, for as long as the context is open.

    Nothing is begun for a participant who has results, where pybids chooses the files, where a GPU
    computes, and for a dry run.
    """
    inputs, resources = settings.inputs, settings.resources
    # Of processes that are not forked, as with a GPU, nobody would see what was inflated.
    elsewhere = resources.scheduler or resources.device not in ("auto", "cpu")
    wanted = not (inputs.bids_filter_file or elsewhere or settings.behaviour.dry_run)
    with inflating(partial(first_file, settings)) if wanted else nullcontext():
        yield


def first_file(settings: Settings) -> tuple[Path, NDArray[np.intp]] | None:
    """Return the series that is read first, and where the model's voxels lie in its frames.

    Parameters
    ----------
    settings
        Options of the call.

    Returns
    -------
    The file and (voxels,) positions in a frame as stored, in the order in which they are read.
    None: the participant has results, or the run is not in the model's space.

    Raises
    ------
    DtgError, KeyError, ValueError, OSError
        Nothing that can be read first was found.
    """
    import numpy as np

    from bids_dtg.bundles.card import CARD_FILE
    from bids_dtg.bundles.store import find_bundle
    from bids_dtg.files.foreign import read_json_object
    from bids_dtg.imaging.grid import Grid
    from bids_dtg.imaging.nifti import read_header
    from bids_dtg.imaging.sampling import LatticeSampling

    folder = find_bundle(settings.inputs.model)
    stated = read_json_object(folder / CARD_FILE)["grid"]
    grid = Grid(tuple(stated["shape"]), np.array(stated["affine"], float), stated["space"])
    run = _first_run(settings, grid)
    if run is None or run.transforms:
        return None
    header, voxels = read_header(run.bold), _in_order(folder, grid)
    return run.bold, LatticeSampling.between(header.shape, header.affine, grid, voxels).source


def _first_run(settings: Settings, grid: Grid) -> RestRun | None:
    """Return the first run of the first participant; None: there are results already."""
    from bids_dtg.imaging.nifti import lies_on_lattice
    from bids_dtg.inputs.dataset import find_dataset, select_participants
    from bids_dtg.inputs.runs import find_runs
    from bids_dtg.inputs.selection import Selection
    from bids_dtg.inputs.space_choice import SpaceRule
    from bids_dtg.inputs.templateflow import TemplateFlow

    inputs = settings.inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the work on the participant repeats them
        dataset = find_dataset(inputs.bids_dir, inputs.derivatives, inputs.input_type)
        label = select_participants(dataset, inputs.participant_label)[0]
        if (inputs.output_dir / f"sub-{label}").exists():
            return None
        return find_runs(
            dataset.root,
            label,
            Selection(inputs.session_label, inputs.task_id),
            rule=SpaceRule(
                model=grid.space,
                asked=inputs.space,
                on_lattice=partial(lies_on_lattice, grid=grid),
                templateflow=TemplateFlow.here(plans=True),
            ),
            input_type=dataset.input_type,
        )[0]


def _in_order(folder: Path, grid: Grid) -> NDArray[np.intp]:
    """Return the voxels that the model reads, in the order of `Reader`."""
    import numpy as np

    from bids_dtg.imaging.nifti import read_mask

    grey, brain = (read_mask(folder / f"{name}.nii.gz", grid) for name in ("mask", "brain_mask"))
    found = [np.flatnonzero(mask.ravel(order="F")) for mask in (grey, brain & ~grey)]
    index = np.unravel_index(np.concatenate(found), grid.shape, order="F")
    return np.ravel_multi_index(index, grid.shape)
