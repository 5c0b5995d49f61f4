"""CIFTI-2: the standard 91,282 grayordinates, CIFTI parcels, and files of maps.

Files are written in the same form as by Connectome Workbench.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
from nibabel import cifti2

from bids_dtg.array_types import Float32, Floats, Indices
from bids_dtg.errors import RunError, UnusableMapError
from bids_dtg.imaging.nifti import reading_image
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.imaging.surfaces.meshes import read_arrays, read_template
from bids_dtg.inputs.run import PARCELS
from bids_dtg.notices import counted

# Structures of the cortex, in the order of `SIDES`.
CORTEX = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")
_DENSE = "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"
_PARCELS = "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SCALAR"
_NONE = -1
# Names of labels that are no region: Workbench's, and those of the medial wall.
_NO_REGION = re.compile(
    r"(?i:\?\?\?|.*medial[-_. ]?wall|((left|right|l|r|lh|rh)[-_. ])?(ctx[-_. ])?(unknown|mwall))"
)
Labels = dict[str, Indices]  # (vertices of the mesh,) by structure; 0: none
_EXTENSION = 32  # NIfTI's code of CIFTI's XML
_COLUMNS = re.compile(
    rb'<MatrixIndicesMap\b[^>]*AppliesToMatrixDimension=["\']1["\'][^>]*>'
)
_END_OF_COLUMNS = b"</MatrixIndicesMap>"
# That of 91,282 grayordinates takes less than a million bytes.
_LARGEST_HEADER = 2**26
# A parcel's name with its hemisphere, as atlases and programs write it.
_SIDED = re.compile(r"(?i:(l|left|lh|r|right|rh))[_-](.+?)(?:_ROI)?")
# Least overlap (Jaccard) of parcels with the same names in two versions of one atlas.
_LEAST_SHARED = 0.5
# Factors that give each vertex and voxel a unique number.
_PER_SIDE = 10**6
_PER_AXIS = np.array([10**7, 10**10, 10**13])
_EXPECTED = "a file of parcels (.ptseries.nii, .pscalar.nii)"


@cache
def standard_grayordinates() -> Any:
    """Return the 91,282 grayordinates of the Human Connectome Project, nibabel's `BrainModelAxis`.

    The order is left cortex and right cortex, as vertices of the fsLR mesh, and then voxels of
    subcortical structures, cerebellum and brain stem on the 2 mm grid of MNI152NLin6Asym.

    Notes
    -----
    Glasser et al. 2013, NeuroImage 80: 105, doi 10.1016/j.neuroimage.2013.04.127.

    Examples
    --------
    >>> grayordinates = standard_grayordinates()
    >>> len(grayordinates), int(grayordinates.volume_mask.sum())
    (91282, 31870)
    """
    arrays: Mapping[str, Any] = read_arrays("grayordinates_den-91k")
    sizes = np.diff(arrays["offsets"], axis=1).ravel()
    names = np.repeat(arrays["names"].astype(str), sizes)
    vertices_by_side = [arrays["left_vertices"], arrays["right_vertices"]]
    vertices = np.concatenate(vertices_by_side).astype(int)
    voxels = arrays["voxels_ijk"].astype(int)
    return cifti2.BrainModelAxis(
        names,
        voxel=np.pad(voxels, ((len(vertices), 0), (0, 0)), constant_values=_NONE),
        vertex=np.pad(vertices, (0, len(voxels)), constant_values=_NONE),
        nvertices=dict.fromkeys(CORTEX, mesh_size()),
        affine=arrays["affine"].astype(np.float64),
        volume_shape=tuple(map(int, arrays["shape"])),
    )


def encode_dscalar(
    values: Floats,
    names: Sequence[str],
    *,
    cortex_only: bool = False,
) -> bytes:
    """Return the bytes of a .dscalar.nii file at the 91,282 standard grayordinates.

    Parameters
    ----------
    values
        (maps, grayordinates), stored as float32; equal values give equal bytes.
    names
        Names of the maps, one per row.
    cortex_only
        Whether there are only the 59,412 grayordinates of the cortex, the first ones.
    """
    head = _dense_head(tuple(names), cortex_only=cortex_only)
    return head + np.asarray(values, "<f4").T.tobytes()


@lru_cache(maxsize=4)
def _dense_head(names: tuple[str, ...], *, cortex_only: bool) -> bytes:
    grayordinates = standard_grayordinates()
    if cortex_only:
        grayordinates = grayordinates[~grayordinates.volume_mask]
    return _head(names, grayordinates, _DENSE)


@dataclass(frozen=True, eq=False)
class ParcelPlaces(ListedPlaces):
    """Parcels of vertices of the fsLR mesh (32,492 per hemisphere) and of voxels."""

    extension: ClassVar[str] = ".pscalar.nii"  # extension of files of maps
    space: ClassVar[str] = PARCELS  # their name as a space

    axis: Any = None  # nibabel's `ParcelsAxis`
    atlas: str | None = None  # its label, as in seg- of file names; None: not known

    @classmethod
    def of_axis(cls, axis: Any, atlas: str | None = None) -> ParcelPlaces:
        """Return the parcels of nibabel's `ParcelsAxis`, of an atlas with this label.

        Raises
        ------
        ValueError
            The axis has no parcels, a name occurs twice, or a surface is not the cortex on the
            fsLR mesh.
        """
        if not isinstance(axis, cifti2.ParcelsAxis):
            raise ValueError(f"it has a {type(axis).__name__}, not parcels")
        for name, size in axis.nvertices.items():
            if name not in CORTEX or size != mesh_size():
                raise ValueError(
                    f"it has {name} with {size} vertices, not the cortex with fsLR's {mesh_size()}"
                )
        return cls(tuple(map(str, axis.name)), axis=axis, atlas=atlas)

    @classmethod
    def of_xml(cls, xml: bytes, atlas: str | None = None) -> ParcelPlaces:
        """Return the parcels of a file's columns from its CIFTI XML, as `of_axis` does."""
        return cls.of_axis(_axis(xml, 1), atlas)

    def to_xml(self) -> bytes:
        """Return the CIFTI XML of a map of the parcels, for `of_xml`."""
        axes = (cifti2.ScalarAxis(["map"]), self.axis)
        return cifti2.Cifti2Header.from_axes(axes).to_xml()

    @property
    def entities(self) -> Mapping[str, str | None]:  # type: ignore[override]
        """BIDS entities of maps: space and atlas."""
        return {"space": "fsLR", "seg": self.atlas}

    @property
    def density(self) -> str:
        """Description of the places."""
        mesh = "fsLR's mesh (32,492 vertices per hemisphere)"
        has_voxels = any(len(voxels) for voxels in self.axis.voxels)
        beside = " and of voxels" if has_voxels else ""
        return f"{self.number:,} parcels of {mesh}{beside}"

    @cached_property
    def homotopic(self) -> Indices:
        """(2, pairs), the left and right parcels of the same name."""
        positions = _positions(self.names)
        pairs = []
        for name, position in positions.items():
            mirrored = f"R_{name[2:]}"
            if name.startswith("L_") and mirrored in positions:
                pairs.append((position, positions[mirrored]))
        return np.array(pairs, np.intp).reshape(-1, 2).T

    @cached_property
    def _members(self) -> tuple[Indices, Indices]:
        """Unique codes of all vertices and voxels in parcels, and the parcel of each."""
        codes: list[Indices] = []
        parcels: list[Indices] = []
        for parcel, (_, voxels, vertices) in enumerate(self.axis):
            parts = [
                indices + CORTEX.index(structure) * _PER_SIDE
                for structure, indices in vertices.items()
            ]
            parts.append(np.reshape(voxels, (-1, 3)) @ _PER_AXIS)
            codes += parts
            parcels += [np.full(len(part), parcel, np.intp) for part in parts]
        return np.concatenate(codes), np.concatenate(parcels)

    def rows_in(self, file: ParcelPlaces) -> tuple[Indices, int]:
        """Find each parcel in a file, by name.

        Parameters
        ----------
        file
            The file's parcels.

        Returns
        -------
        rows
            (parcels,), position in the file; -1 if absent.
        differing
            Number of parcels that have different vertices or voxels in the file.

        Raises
        ------
        ValueError
            Parcels with the same names are at other positions.
        """
        positions = _positions(file.names)
        names = map(parcel_name, self.names)
        rows = np.array([positions.get(name, _NONE) for name in names], np.intp)
        present = np.flatnonzero(rows != _NONE)
        if not len(present) or file.axis is None:  # a table has only names
            return rows, 0
        codes, parcels = self._members
        file_codes, file_parcels = file._members
        _, shared, file_shared = np.intersect1d(codes, file_codes, return_indices=True)
        shared_parcels = parcels[shared]
        in_same = shared_parcels[rows[shared_parcels] == file_parcels[file_shared]]
        sizes = np.bincount(parcels, minlength=self.number)[present]
        file_sizes = np.bincount(file_parcels, minlength=file.number)[rows[present]]
        intersection = np.bincount(in_same, minlength=self.number)[present]
        union = sizes + file_sizes - intersection
        overlap = intersection / np.maximum(1, union)
        if np.median(overlap) < _LEAST_SHARED:
            worst = self.names[int(present[overlap.argmin()])]
            raise ValueError(
                f"its parcel {worst} has other vertices or voxels than those wanted"
            )
        return rows, int(np.count_nonzero(overlap < 1))

    def on_atlas(self, path: Path) -> ParcelPlaces:
        """Return the same parcels in another version of the atlas, a .dlabel.nii file.

        Raises
        ------
        RunError
            The file cannot be read, or lacks one of the parcels.
        """
        table, labels, _ = _read_labels(path)
        labels_by_name = {parcel_name(name): label for label, name in table.items()}
        missing = [
            name for name in self.names if parcel_name(name) not in labels_by_name
        ]
        if missing:
            raise RunError(
                f"{path} lacks {len(missing)} of {self.number} parcels: {', '.join(missing[:5])}",
                expected="a version of the model's atlas",
            )
        names = {labels_by_name[parcel_name(name)]: name for name in self.names}
        return _labelled_parcels(names, labels, self.atlas)

    @classmethod
    def of_labels(cls, path: Path) -> tuple[ParcelPlaces, tuple[int, ...]]:
        """Return the parcels of the cortex in a .dlabel.nii file, and their labels.

        Names that several labels share get the label appended.

        Raises
        ------
        RunError
            The file cannot be read, is not on the fsLR mesh, or has no labels of the cortex, or
            labels of voxels.
        """
        table, labels, below = _read_labels(path)
        if below:
            label = min(below)
            raise RunError(
                f"{path} has labels of voxels, such as {table.get(label, label)}",
                expected="labels of the cortex alone, as parcels are averaged over vertices",
                remedy="keep the cortex with wb_command -cifti-separate and -cifti-create-label",
            )
        names = {
            label: name
            for label, name in sorted(table.items())
            if any((side_labels == label).any() for side_labels in labels.values())
        }
        if not names:
            raise RunError(
                f"{path} labels no vertex of the cortex",
                expected="labels of the cortex (CORTEX_LEFT, CORTEX_RIGHT)",
            )
        shared = Counter(names.values())
        names = {
            key: f"{name} {key}" if shared[name] > 1 else name
            for key, name in names.items()
        }
        return _labelled_parcels(names, labels), tuple(names)

    def as_in(self, file: ParcelPlaces) -> ParcelPlaces:
        """Return the parcels with vertices and voxels of a file; empty if it lacks a parcel."""
        axis = file.axis
        rows, _ = self.rows_in(file)
        empty = ("", np.zeros((0, 3), int), dict[str, Indices]())
        parcels = [empty if row == _NONE else axis[int(row)] for row in rows]
        return ParcelPlaces.of_axis(
            cifti2.ParcelsAxis(
                self.names,
                [voxels for _, voxels, _ in parcels],
                [vertices for _, _, vertices in parcels],
                affine=axis.affine,
                volume_shape=axis.volume_shape,
                nvertices=axis.nvertices,
            ),
            self.atlas,
        )

    def encode_maps(self, values: Floats, names: Sequence[str]) -> bytes:
        """Return the bytes of a .pscalar.nii file of named maps (maps, parcels)."""
        return _head(names, self.axis, _PARCELS) + np.asarray(values, "<f4").T.tobytes()

    def read(self, path: Path) -> Float32:
        """Read a map of parcels, (parcels,); NaN where it has no value, and where it is 0."""
        file, _, maps = read_parcel_maps(path)
        if len(maps) != 1:
            raise RunError(f"{path} has {len(maps)} maps", expected="one map per file")
        try:
            rows, _ = self.rows_in(file)
        except ValueError as err:
            raise RunError(
                f"{path}: {err}", expected="maps of the model's parcels"
            ) from err
        values: Float32 = maps[0][rows]
        values[(rows == _NONE) | (values == 0)] = np.nan
        if np.isnan(values).all():
            raise UnusableMapError(f"{path} has no value at the model's parcels")
        return values


def mesh_size() -> int:
    """Return the number of vertices of a hemisphere of the fsLR mesh."""
    return len(read_template("fsLR").cortex["L"])


def require_mesh(path: Path, axis: Any) -> None:
    """Refuse a file whose parcels or grayordinates of the cortex are on another mesh than fsLR's.

    Vertices of finer meshes, such as 59k of HCP's 7T and 164k of fMRIPrep's 170k grayordinates,
    have other numbers. An axis without surfaces is left to other checks.

    Raises
    ------
    RunError
        A hemisphere has another number of vertices.
    """
    for name, size in (getattr(axis, "nvertices", None) or {}).items():
        if name in CORTEX and size != mesh_size():
            raise RunError(
                f"{path} has {size:,} vertices in {name}",
                expected=f"the fsLR mesh of {mesh_size():,} (32k)",
                remedy="resample it with wb_command -cifti-resample, or run fMRIPrep with "
                "--cifti-output 91k",
            )


def _positions(names: Sequence[str]) -> dict[str, int]:
    """Return the position of each parcel, by its name in the standard spelling."""
    return {parcel_name(name): position for position, name in enumerate(names)}


def _labelled_parcels(
    names: Mapping[int, str], labels: Labels, atlas: str | None = None
) -> ParcelPlaces:
    """Return the parcels of vertices with each label, by its name."""
    vertices = [
        {
            structure: np.flatnonzero(side_labels == label)
            for structure, side_labels in labels.items()
            if (side_labels == label).any()
        }
        for label in names
    ]
    voxels = [np.zeros((0, 3), int)] * len(names)
    mesh = {structure: len(side_labels) for structure, side_labels in labels.items()}
    axis = cifti2.ParcelsAxis([*names.values()], voxels, vertices, nvertices=mesh)
    return ParcelPlaces.of_axis(axis, atlas)


def _read_labels(path: Path) -> tuple[dict[int, str], Labels, set[int]]:
    """Read a .dlabel.nii file.

    Returns
    -------
    names
        By label, of regions; a label without a name has its number.
    labels
        Labels of fsLR's vertices, by structure.
    below
        Labels of voxels.

    Raises
    ------
    RunError
        It cannot be read, has no labels or several maps of them, or has another mesh.
    """
    with reading_image(path, as_what=" as labels of grayordinates (.dlabel.nii)"):
        maps, axis, values = read_cifti(path)
        if not isinstance(maps, cifti2.LabelAxis):
            raise ValueError(f"it has a {type(maps).__name__}, not labels")
        if not isinstance(axis, cifti2.BrainModelAxis):
            raise ValueError(f"it has a {type(axis).__name__}, not grayordinates")
        stored = np.asarray(values)
        if not np.array_equal(stored, np.rint(stored)):
            raise ValueError("its labels are not integers")
    require_mesh(path, axis)
    if len(stored) != 1:
        raise RunError(
            f"{path} has {len(stored)} maps of labels",
            expected="one",
            remedy="choose one: wb_command -cifti-merge OUT -cifti IN -column NUMBER",
        )
    labels: Labels = {}
    below: set[int] = set()
    for name, columns, model in axis.iter_structures():
        structure_labels = stored[0][columns].astype(np.intp)
        if name not in CORTEX:
            below.update(structure_labels[structure_labels != 0].tolist())
        else:
            labels[name] = np.zeros(mesh_size(), np.intp)
            labels[name][model.vertex] = structure_labels
    named = maps.label[0].items()  # label, (name, colour)
    table = {int(label): str(name) for label, (name, _) in named}
    used = {
        int(label)
        for side_labels in labels.values()
        for label in np.unique(side_labels)
    }
    for label in used - {0}:
        table[label] = table.get(label, "").strip() or f"label {label}"
    no_regions = {label for label, name in table.items() if _NO_REGION.fullmatch(name)}
    for label in no_regions | {0}:
        table.pop(label, None)
    return table, labels, below - no_regions


def parcel_name(name: str) -> str:
    """Return a parcel's name in a standard spelling; names without a hemisphere are unchanged.

    Examples
    --------
    >>> [parcel_name(name) for name in ("L_V1_ROI", "Left_V1", "lh_V1", "R_5m", "AMYGDALA")]
    ['L_V1', 'L_V1', 'L_V1', 'R_5m', 'AMYGDALA']
    """
    match = _SIDED.fullmatch(name)
    if match is None:
        return name
    side, region = match.groups()
    return f"{side[0].upper()}_{region}"


def read_parcel_maps(
    path: Path,
) -> tuple[ParcelPlaces, tuple[str, ...], Float32]:
    """Read the parcels of a file of maps, the names of the maps, and values (maps, parcels).

    Raises
    ------
    RunError
        It is missing, damaged, or not a file of parcels.
    """
    with reading_image(path, expected=_EXPECTED), np.errstate(over="ignore"):
        rows, columns, values = read_cifti(path)
        require_mesh(path, columns)
        places = ParcelPlaces.of_axis(columns)
        names = tuple(map(str, getattr(rows, "name", ())))
        return places, names, np.asarray(values, np.float32)


def read_cifti(path: Path) -> tuple[Any, Any, Any]:
    """Return nibabel's axes of rows and columns, and a proxy of the values (rows, columns).

    Raises
    ------
    ValueError
        The file has no header of CIFTI, this does not say what its rows and columns are, or the
        file has other sizes; or a structure or vertex is listed twice or is not in its mesh.
    """
    image = nib.Nifti2Image.from_filename(path)
    extensions = image.header.extensions
    headers = [part.content for part in extensions if part.get_code() == _EXTENSION]
    if len(headers) != 1:
        raise ValueError(f"it has {counted(headers, 'CIFTI header')}, not one")
    xml = headers[0]
    if len(xml) > _LARGEST_HEADER:
        raise ValueError(f"its CIFTI header has {len(xml):,} bytes")
    starts = [*_COLUMNS.finditer(xml)]
    if len(starts) != 1:
        raise ValueError("its CIFTI header does not say what its columns are")
    start, end = starts[0].span()
    if not xml.endswith(b"/>", start, end):  # that of frames has no content
        last = xml.find(_END_OF_COLUMNS, end)
        if last < 0:
            raise ValueError("its CIFTI header does not say where its columns end")
        end = last + len(_END_OF_COLUMNS)
    rows = _axis(xml[:start] + xml[end:], 0)
    columns_xml = b'<CIFTI Version="2"><Matrix>%b</Matrix></CIFTI>' % xml[start:end]
    columns = _axis(columns_xml, 1)
    values = image.dataobj.reshape(image.shape[4:])
    described = (len(rows), len(columns))
    if values.shape != described:
        sizes, expected = (
            " x ".join(map(str, shape)) for shape in (values.shape, described)
        )
        raise ValueError(f"it has {sizes} values, and its CIFTI header {expected}")
    return rows, columns, values


# Many files share these, which take longer to parse than values.
@lru_cache(maxsize=8)
def _axis(xml: bytes, dimension: int) -> Any:
    """Return nibabel's axis of a header's rows (0) or columns (1), if it is what it claims."""
    parser = cifti2.parse_cifti2.Cifti2Parser()
    parser.parse(string=xml)
    described = parser.header.matrix.get_index_map(dimension)
    models = [
        (model.brain_structure, model.model_type) for model in described.brain_models
    ]
    for (structure, _), count in Counter(models).items():
        if count > 1:
            raise ValueError(f"its CIFTI header lists {structure} {count} times")
    axis = parser.header.get_axis(dimension)
    if isinstance(axis, cifti2.BrainModelAxis):
        _require_grayordinates(axis)
    elif isinstance(axis, cifti2.ParcelsAxis):
        for name, _, vertices in axis:
            for structure, parcel_vertices in vertices.items():
                size = axis.nvertices[structure]
                _require_vertices(parcel_vertices, size, f"parcel {name}")
    return axis


def _require_grayordinates(axis: Any) -> None:
    """Refuse vertices that the meshes lack, voxels beyond the volume, and a cortex of voxels."""
    for structure, _, model in axis.iter_structures():
        if structure in axis.nvertices:
            size = axis.nvertices[structure]
            _require_vertices(model.vertex, size, structure)
        elif structure in CORTEX:
            raise ValueError(f"it has {structure} as voxels, not as vertices")
        elif (
            not (model.voxel >= 0).all() or not (model.voxel < axis.volume_shape).all()
        ):
            raise ValueError(f"it has voxels of {structure} beyond its volume")


def _require_vertices(vertices: Indices, size: int, name: str) -> None:
    """Refuse vertices that a mesh of some size lacks, and those that are listed twice."""
    outside = vertices[(vertices < 0) | (vertices >= size)]
    if len(outside):
        raise ValueError(
            f"it has vertex {outside[0]} in {name}, whose mesh has {size:,}"
        )
    if len(np.unique(vertices)) < len(vertices):
        raise ValueError(f"it lists a vertex of {name} twice")


def _head(names: Sequence[str], places: Any, intent: str) -> bytes:
    """Return the bytes before the values: the header, and the axes as XML.

    Parameters
    ----------
    names
        Names of the maps.
    places
        nibabel's axis of the columns.
    intent
        NIfTI intent of the file. By itself, nibabel would write that of an unknown kind, which
        other programs do not recognise.
    """
    header = nib.Nifti2Header(endianness="<")
    header.set_data_dtype("<f4")
    header.set_data_shape((1, 1, 1, 1, len(names), len(places)))
    header.set_intent(intent)
    axes = (cifti2.ScalarAxis(list(names)), places)
    xml = cifti2.Cifti2Header.from_axes(axes).to_xml()
    # One element per line, as Workbench writes them; NiiVue cannot read any other form.
    extension = nib.nifti1.Nifti1Extension("cifti", xml.replace(b"><", b">\n<"))
    header.extensions.append(extension)
    stream = BytesIO()
    header.write_to(stream)
    return stream.getvalue().ljust(int(header["vox_offset"]), b"\0")
