"""The anatomy behind maps: written by the participant level, found again by pages.

Maps are in the space of their model. The program does not ship TemplateFlow's template of that
space and does not download it for a picture; if it is not on the machine, the mean BOLD of a run is
drawn behind the maps.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.panels.run import COVERAGE_FILE, REGISTRATION_FILE
from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import TEMPLATEFLOW, DerivativeDataset
from bids_dtg.files.names import FileKind, bids_uri, build_name, parse_name
from bids_dtg.files.text import write_json
from bids_dtg.imaging.nifti import encode_integers, read_single
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.report.contents import ParticipantFiles, sidecar_of
from bids_dtg.report.panels.panel import read_image
from bids_dtg.report.slices import Background, Volume, standard_background

KIND = FileKind("T1w", "background", ".nii.gz")
_BRIGHT = 0.995  # quantile of the brain that is drawn as white
_SOFT_EDGE = 0.8  # voxels: smooths the edge of the brain on the page
_ENDING = f"desc-{KIND.desc}_{KIND.suffix}{KIND.extension}"


def keep_template(
    output: DerivativeDataset, bundle: ModelBundle, templateflow: TemplateFlow
) -> Path | None:
    """Write the template's image to the output folder, once for all participants.

    Parameters
    ----------
    output
        Output dataset in which the files are written.
    bundle
        The model, on whose grid it is kept, within its brain.
    templateflow
        TemplateFlow's folder; nothing is downloaded.

    Returns
    -------
    Path
        Path of the image; None if the folder has none that can be read.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    space, named = bundle.grid.space, {"res": bundle.grid.resolution, "desc": KIND.desc}
    name = build_name({"tpl": space, **named}, KIND.suffix, KIND.extension)
    relative = PurePosixPath(f"tpl-{space}", name)
    path = output.path(relative)
    source = templateflow.anatomy(bundle.grid.space)
    if path.is_file() or source is None:
        return path if path.is_file() else None
    image = _within_brain(source, bundle)
    if image is None:
        return None
    what = "T1w image of the template on the model's grid, 8 bits within its brain: for pages"
    sidecar = {
        "Description": what,
        "Sources": [bids_uri(TEMPLATEFLOW, f"{source.parent.name}/{source.name}")],
        **bundle.grid.brain_metadata,
    }
    output.write(relative, image)
    write_json(sidecar_of(path), sidecar)
    return path


def of_participant(dataset: DerivativeDataset, files: ParticipantFiles) -> Background:
    """Find the image to draw behind a participant's maps.

    The template; else the mean BOLD of a run, which is in the space of the maps, too; else
    nilearn's template, which is not.
    """
    spaces = {
        parse_name(shown.path.name).get("space") for made in files.averages for shown in made.maps
    }
    return _of_template(dataset, spaces) or _mean_bold(files) or standard_background()


def of_group(dataset: DerivativeDataset) -> Background:
    """Find the image to draw behind group maps: the template, else nilearn's."""
    return _of_template(dataset, None) or standard_background()


def _of_template(
    dataset: DerivativeDataset, spaces: Collection[str | None] | None
) -> Background | None:
    for path in sorted(dataset.root.glob(f"tpl-*/*_{_ENDING}")):
        space = parse_name(path.name).get("tpl")
        if (spaces is None or space in spaces) and (volume := _image(path)):
            return _drawn(volume, f"TemplateFlow's template {space}", path)
    return None


def _mean_bold(files: ParticipantFiles) -> Background | None:
    """Read the mean BOLD of the first run that has one, within the model's brain."""
    for run in files.runs:
        found, tissue = run.files.get(REGISTRATION_FILE), run.files.get(COVERAGE_FILE)
        volume, labels = found and _image(found), tissue and _image(tissue)
        if volume and labels and volume.values.shape == labels.values.shape:
            inside = np.where(labels.values > 0, np.maximum(volume.values, 1e-6), 0)
            words = "the mean BOLD of a run, as the template of the maps was not at hand"
            return _drawn(Volume(inside, volume.affine), words, found, files.label)
    return None


def _image(path: Path) -> Volume | None:
    try:
        return read_image(path)
    except RunError:
        return None  # only a picture: another image is used


def _drawn(volume: Volume, words: str, file: Path | None, label: str | None = None) -> Background:
    share = np.clip(volume.values / _brightness(volume.values), 0, 1)
    return Background(Volume(share, volume.affine), words, file, label, soft_edge=_SOFT_EDGE)


def _within_brain(source: Path, bundle: ModelBundle) -> bytes | None:
    """Resample an image to the model's grid, 8 bits within its brain; None if it cannot be used."""
    from scipy.ndimage import map_coordinates

    try:
        values, affine = read_single(source)
    except RunError:
        return None  # only a picture
    brain = bundle.brain_voxels
    points = brain.points
    indices = np.linalg.solve(affine, np.c_[points, np.ones(len(points))].T)[:3]
    taken = map_coordinates(np.nan_to_num(np.asarray(values, np.float32)), indices, order=1)
    if not taken.any():
        return None
    # At least 1 within the brain: 0 marks voxels outside.
    steps = np.clip(np.rint(taken * 255 / _brightness(taken)), 1, 255).astype(np.uint8)
    return encode_integers(brain.volume(steps), bundle.grid, description=f"bids_dtg {KIND.desc}")


def _brightness(values: NDArray[np.floating]) -> float:
    bright = values[values > 0]
    return float(np.quantile(bright, _BRIGHT)) if bright.size else 1.0
