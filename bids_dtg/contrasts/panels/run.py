"""Panels of a measured run: the file that each writes, and how a page draws it.

A new panel is a function that writes, one that draws, and a row of `PANELS`. The rows decide which
files of a run are written, which are looked for, and what the page shows.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Integers
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.connectome.passes import Carpet
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.panels.registration import (
    CAPTIONS,
    COVERAGE_FILE,
    OUTLINES,
    REGISTRATION_FILE,
    draw_registration,
    image_grid,
    outlines_of,
)
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import NodeFile, relationship_facts, segment_label
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import encoded, read_json, read_packaged, tsv_text
from bids_dtg.imaging.bold import MeanFrame
from bids_dtg.imaging.grid import Points
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.imaging.placement import Placement
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import LinearSampling
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.run import NATIVE
from bids_dtg.participants.origin import source_uri
from bids_dtg.participants.run_source import CleanedRun
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import Figure, Lanes, Picture, colour_keys
from bids_dtg.report.page import sentences
from bids_dtg.report.panels import (
    MOTION,
    SERIES_SCALE,
    below_each_other,
    draw_series,
    kept_frames,
    read_run_rows,
)
from bids_dtg.report.pictures import (
    MAP_VIEWS,
    SIGNED,
    Backdrop,
    Volume,
    draw_matrix,
    encode,
    standard_anatomy,
)
from bids_dtg.report.presentation import Canvas, Panel, PanelFile
from bids_dtg.report.quality import number
from bids_dtg.report.tables import MINUS
from bids_dtg.settings import Interpolation

_WORDS = tomllib.loads(read_packaged(__package__, "sidecars.toml"))
# Label 3 if ROI series are computed over grey matter only.
_STANDARDISED = "rest of the brain"
# Colours of grey matter, by what they stand for.
_SIGNAL = {"grey matter with signal": (47, 165, 142), "without signal": (224, 57, 46)}
CARPET_FILE = FileKind("timeseries", "carpet", ".tsv")
# Names of the table's columns, followed by a number: voxels of two kinds, or parcels.
GREY, REST = "grey", "rest"
PARCEL = "parcel"
_TITLES = {GREY: "grey matter", REST: "rest of the brain", PARCEL: "parcels"}
_MOST = 9.9  # values are clipped to plus or minus this
_HEIGHT = 9.0  # rem
_DENOISED_BY = {"xcpd": "XCP-D", "hcp": "HCP", "ukb": "UK Biobank"}  # by type of input
_CLEANED = "_cleaned"  # suffix of the columns of cleaned series
CONNECTOME_FILE = FileKind("relmat", "connectome", ".tsv")
_MEASURE = relationship_facts(
    "Pearson correlation", "Product-moment correlation of two series over frames"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredRun(CleanedRun):
    """The connectomes of one run, how they were computed, and the data for its panels."""

    bundle: ModelBundle  # the model
    connectomes: RunConnectomes  # whole run, segments, halves, coverage, tSNR
    mean_frame: MeanFrame | None  # mean of its first kept frames, if they are volumes
    carpet: Carpet  # time series of some of the model's voxels or parcels
    carpet_rows: Mapping[str, int]  # number of these of each kind, in order
    interpolation: Interpolation  # interpolation that the options ask for
    # Dice of its brain mask and the model's; None if not known.
    mask_overlap: float | None
    # The vertices, (vertices, 3) in RAS+ mm of the run; None: the run has no volumes, or voxels.
    vertices: Points | None = None
    source: str = ""  # name of its dataset in BIDS URIs
    input_type: str = ""  # of its dataset

    @property
    def bold_uri(self) -> str:
        """BIDS URI of the run's series."""
        return source_uri(self.run.bold, self.run.root, self.source)


def _image_file(
    kind: FileKind,
    values: Integers,
    data: MeasuredRun,
    *,
    description: str,
    facts: Mapping[str, Any],
    slope: float = 1.0,
) -> PanelFile:
    """Encode an image on the model's grid as a file, with further facts in its sidecar."""
    grid = data.bundle.grid
    title = f"bids_dtg {kind.desc or ''}"
    image = encode_integers(values, grid, slope=slope, description=title)
    sidecar = {
        "Description": description,
        "Sources": [data.bold_uri],
        **grid.metadata,
        **facts,
    }
    return PanelFile(kind, image, sidecar, entities=grid.entities)


def _registration_file(data: MeasuredRun) -> PanelFile | None:
    """Encode the mean of the first kept frames; None if their position in space is not known."""
    if data.vertices is not None:
        return _registration_of_surface(data, data.vertices)
    mean = _mean_bold(data)
    if mean is None or data.mean_frame is None:
        return None
    stored, slope = _stored(mean)
    return _image_file(
        REGISTRATION_FILE,
        stored,
        data,
        description=_WORDS["registration"].format(frames=data.mean_frame.frames),
        slope=slope,
        facts={"SkullStripped": False},
    )


def _stored(mean: Float32) -> tuple[NDArray[np.int16], float]:
    """Return a mean image as integers, and the value of a stored 1."""
    slope = max(float(mean.max()), 1e-12) / np.iinfo(np.int16).max
    return np.rint(np.maximum(mean, 0) / slope).astype(np.int16), slope


def _registration_of_surface(data: MeasuredRun, vertices: Points) -> PanelFile | None:
    """Encode the mean image around a surface, with the surface's outlines in the sidecar."""
    places, mean = data.bundle.places, data.mean_frame
    if mean is None or data.surface is None or not isinstance(places, ParcelPlaces):
        return None
    grid = image_grid(vertices)
    points = VoxelPlaces.all_of(grid).points
    sampling = LinearSampling(mean.header.shape, mean.header.affine, points)
    values = np.nan_to_num(mean.at(sampling)).reshape(grid.shape)
    stored, slope = _stored(values)
    content = encode_integers(stored, grid, slope=slope, description="bids_dtg")
    sidecar = {
        "Description": _WORDS["registration"].format(frames=mean.frames),
        "Sources": [data.bold_uri],
        "SkullStripped": False,
        "Surface": data.surface.kind,
        OUTLINES: outlines_of(vertices, places),
    }
    space = None if data.run.space == NATIVE else data.run.space
    return PanelFile(REGISTRATION_FILE, content, sidecar, entities={"space": space})


def _mean_bold(data: MeasuredRun) -> Float32 | None:
    """Resample the mean frame to the whole grid, including voxels outside the brain."""
    if data.mean_frame is None:
        return None
    grid, mean = data.bundle.grid, data.mean_frame
    everywhere = VoxelPlaces.all_of(grid)
    placement = Placement.through(everywhere, data.run.transforms)
    sampling, _ = placement.in_file(mean.header, data.interpolation)
    return mean.at(sampling).reshape(grid.shape)


def _coverage_file(data: MeasuredRun) -> PanelFile | None:
    """Label the voxels of the model's brain; None for a model of parcels."""
    bundle, measured = data.bundle, data.connectomes
    if bundle.part.parcels:
        return None
    tissue = bundle.brain_voxels.volume(np.full(bundle.brain.number, 3, np.uint8))
    tissue[bundle.voxels.mask] = np.where(measured.covered, 1, 2)
    labels = dict(_WORDS["labels"])
    if bundle.part.connectome.joint:
        labels["3"] = _STANDARDISED
    roi_coverage = measured.with_one_set().roi_coverage
    shares = [round(float(share), 4) for share in roi_coverage]
    return _image_file(
        COVERAGE_FILE,
        tissue,
        data,
        description=_WORDS["coverage"],
        facts={"Labels": labels, "RoiCoverage": shares},
    )


def _draw_coverage(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Colour grey matter by whether it has signal, and name the ROIs with little signal.

    Raises
    ------
    RunError
        The image cannot be read.
    """
    path = run.files.get(COVERAGE_FILE)
    if path is None:
        return None
    labels = Volume.read(path)
    backdrop = Backdrop(standard_anatomy(), labels.box, MAP_VIEWS)
    pixels = backdrop.draw_labels(labels, dict(enumerate(_SIGNAL.values(), 1)))
    grey = int(np.isin(labels.values, (1, 2)).sum())
    share = float((labels.values == 1).sum()) / max(grey, 1)
    rois = enumerate(read_json(sidecar_of(path)).get("RoiCoverage") or (), 1)
    caption = _caption(
        "coverage",
        share=share,
        voxels=grey,
        rois=sorted(rois, key=lambda roi: float(roi[1])),
    )
    picture = Picture(canvas("coverage", encode(pixels)), f"Coverage: {share:.1%}")
    return Figure(caption=caption, parts=[picture], keys=colour_keys(_SIGNAL))


def _carpet_file(data: MeasuredRun) -> PanelFile:
    """Make a table with one row per frame (or a few consecutive ones) and a column per voxel."""
    carpet, design = data.carpet, data.design
    names = list[str]()
    for kind, voxels in data.carpet_rows.items():
        names += [f"{kind}{voxel:03d}" for voxel in range(1, voxels + 1)]
    noun = _noun(names)
    values = [carpet.standardised(design)]
    if design.rank > 1:
        values.append(carpet.standardised(design, cleaned=True))
        names += [f"{name}{_CLEANED}" for name in names]
    rows = [
        [None if math.isnan(value) else f"{value:.1f}" for value in row]
        for row in np.concatenate(values).clip(-_MOST, _MOST).T.tolist()
    ]
    frames = "frame"
    if carpet.frames_per_column > 1:
        frames = f"mean of {carpet.frames_per_column} consecutive frames"
    columns = _WORDS["columns"][noun]
    sidecar = {
        "Description": _WORDS["carpet"].format(
            noun=noun, frames=frames, most=_MOST, columns=columns
        )
    }
    if data.run.cleaned_before and data.input_type in _DENOISED_BY:
        sidecar["DenoisedBy"] = _DENOISED_BY[data.input_type]
    sidecar |= {
        "SamplingFrequency": 1 / (design.tr_seconds * carpet.frames_per_column),
        "StartTime": 0,
        "Sources": [data.bold_uri],
    }
    return PanelFile(CARPET_FILE, encoded(tsv_text(names, rows)), sidecar)


def _draw_carpet(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw one row per voxel and one column per frame; rows without signal are blank."""
    rows = read_run_rows(run, CARPET_FILE)
    if not rows:
        return None
    values = _numbers(rows).T  # (voxels, then the same voxels cleaned; frames)
    names = [name for name in rows[0] if not name.endswith(_CLEANED)]
    is_kept = kept_frames(run)
    noun = _noun(names)
    first = PARCEL if noun == PARCEL else GREY
    share = 100 * sum(name.startswith(first) for name in names) / len(names)
    # Start and height of each kind of voxels, in percent.
    spans = {first: (0.0, share), REST: (share, 100 - share)}
    denoised_by = read_json(sidecar_of(run.files[CARPET_FILE])).get("DenoisedBy")
    titles = {
        "before": f"As denoised by {denoised_by}" if denoised_by else "Before cleaning",
        "after": "After cleaning",
    }
    lanes = []
    stages = np.split(values, len(values) // len(names))
    for (stage, title), series in zip(titles.items(), stages, strict=False):
        lane = Lanes(
            content=canvas(f"carpet-{stage}", draw_series(series)),
            title=title,
            words=f"{len(names)} {noun}s over {len(is_kept)} frames: {title.lower()}",
            rows=[(_TITLES[kind], *span) for kind, span in spans.items() if span[1]],
            height=_HEIGHT,
        )
        lanes.append(lane)
    caption = _caption(
        "carpet",
        rows=len(names),
        noun=noun,
        left=int((~is_kept).sum()),
        frames=len(is_kept),
    )
    parts = below_each_other(lanes, run, is_kept)
    return Figure(caption=caption, parts=parts, scale=SERIES_SCALE)


def _numbers(rows: Sequence[Mapping[str, str]]) -> Float64:
    """Return the cells of rows as numbers, (rows, columns); NaN: n/a."""
    cells = [[number(text) for text in row.values()] for row in rows]
    return np.array(cells, np.float64)  # None becomes NaN


def _noun(names: Sequence[str]) -> str:
    return PARCEL if names[0].startswith(PARCEL) else "voxel"


def _caption(panel: str, **facts: Any) -> str:
    return sentences(CAPTIONS, panel=panel, **facts)


def _connectome_file(data: MeasuredRun) -> PanelFile:
    """Make a table with a row and a column per ROI; with several sets of ROIs, of one set."""
    rows = data.bundle.part.connectome.one_set(len(data.connectomes.roi_r))
    roi_r = data.connectomes.roi_r[rows, rows]
    nodes = nodes_of(data.bundle)
    text = tsv_text(roi_names(len(roi_r)), [[f"{r:.6f}" for r in row] for row in roi_r])
    sidecar = {
        "Description": _WORDS["connectome"],
        **_MEASURE,
        **nodes.facts,
        "Sources": [data.bold_uri],
    }
    entities = {"seg": nodes.label, "stat": "pearsoncorrelation"}
    return PanelFile(CONNECTOME_FILE, text.encode(), sidecar, entities)


def roi_names(number: int) -> list[str]:
    """Return the names of ROI series in tables."""
    return [f"roi{roi:02d}" for roi in range(1, number + 1)]


def nodes_of(bundle: ModelBundle) -> NodeFile:
    """Describe the rows and columns of the table: the model's ROI maps, of one set."""
    card, form = bundle.card, bundle.part.connectome
    rows = form.one_set(bundle.rois)
    name = form.set_name(rows)
    key = "nodes_of_set" if name else "nodes_of_all"
    where = _WORDS[key].format(first=rows.start, last=rows.stop - 1)
    return NodeFile(
        bundle.places.entities["space"] or bundle.space,
        name or segment_label(card.name),
        dict(enumerate(roi_names(rows.stop - rows.start), 1)),
        _WORDS["nodes"].format(model=card.title, where=where),
        overlap=True,
    )


def _draw_connectome(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the matrix, one pixel per cell."""
    matrix = _numbers(read_run_rows(run, CONNECTOME_FILE))
    if matrix.ndim != 2 or not matrix.size:
        return None
    edges = matrix[~np.eye(len(matrix), dtype=bool)] if len(matrix) > 1 else matrix
    address = canvas("connectome", draw_matrix(matrix, SIGNED, -1, 1))
    words = f"Correlations between {len(matrix)} ROI series"
    caption = _caption(
        "connectome",
        rois=len(matrix),
        mean=float(edges.mean()),
        sd=float(edges.std()),
    )
    return Figure(
        caption=caption,
        parts=[Picture(address, words, form="matrix")],
        scale=(f"{MINUS}1", "+1", SIGNED.css),
    )


REGISTRATION = Panel(
    "Registration",
    REGISTRATION_FILE,
    draw_registration,
    _registration_file,
    beside=True,
)
COVERAGE = Panel("Coverage", COVERAGE_FILE, _draw_coverage, _coverage_file, beside=True)
CARPET = Panel("Carpet", CARPET_FILE, _draw_carpet, _carpet_file, also=(MOTION.kind,))
CONNECTOME = Panel(
    "Connectome", CONNECTOME_FILE, _draw_connectome, _connectome_file, folded=True
)
# In the order of the page.
PANELS = (CARPET, MOTION, REGISTRATION, COVERAGE, CONNECTOME)
