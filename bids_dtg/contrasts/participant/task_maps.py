"""Task maps as a scikit-learn estimator, whose `transform` takes a BOLD image."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from bids_dtg.array_types import Floats, Mask
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.run import MeasuredRun
from bids_dtg.contrasts.participant.measure import Reader, measure_parcels
from bids_dtg.contrasts.participant.model import (
    Model,
    default_model,
    estimate_maps,
    note_on_default,
    obtain_bundle,
)
from bids_dtg.contrasts.participant.outputs.spaces import PAINTABLE
from bids_dtg.contrasts.participant.outputs.surfaces import at_parcels
from bids_dtg.engine.machine import available_cores, map_device
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.imaging.atlas import Atlas, find_atlas, region_means, region_voxels
from bids_dtg.imaging.bold import read_bold_header
from bids_dtg.imaging.given_images import ConfoundsLike, Image, ImageLike, as_run
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import TEMPLATE_SPACE
from bids_dtg.imaging.surfaces.painting import painted
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.settings import CleaningOptions, Interpolation, Settings
from bids_dtg.version import __version__

Container = Literal["default", "pandas", "polars"]
_CONTAINERS: tuple[Container, ...] = ("default", "pandas", "polars")
# Separates contrast and region in column names; contrast labels contain no underscore.
_BETWEEN = "__"
# Attributes that hold threads or devices; they are made again in another process.
_PREPARED = ("_reader", "_model", "_atlases")


class TaskMaps(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[misc, call-arg]
    """Predict maps of task activation from resting-state BOLD, as a scikit-learn transformer.

    The model is already trained, so `fit` only loads it. `transform` reads an image, cleans it,
    computes the connectome that the model reads, and predicts the maps (Serin et al. 2025,
    Communications Biology). The values are the same that ``bids_dtg IN OUT participant`` writes for
    the file. Options of cleaning have the same names as on the command line.

    Parameters
    ----------
    model
        Name of an installed model, or its folder; None: hcp-ya where it is installed, else
        hcp-glasser, with a warning.
    denoise_strategy
        How runs are cleaned; auto: the default for the dataset that the file is in.
    device
        Device that computes: cpu, cuda, or auto, which is the CPU.
    atlas
        Regions of the data frame that `set_output` asks for: a name as for ``--atlases``, or a
        label image in the model's space. None: only images can be returned.
    min_coverage
        A region's mean is NaN if less than this share of its voxels has a value. Regions with a
        smaller share in the model's mask have no column.
    mask_img
        Brain mask for all images; None: fMRIPrep's mask next to each image, if there is one.
    t_r
        Repetition time of all images in seconds; None: from each image's sidecar or header.
    threads
        Threads to compute with; None: all cores.
    fd_threshold, gsr, high_pass, low_pass, smoothing_fwhm, dummy_scans, min_minutes, interpolation
        As on the command line.

    Attributes
    ----------
    bundle_ : ModelBundle
        The model, once fitted.
    contrasts_ : tuple of str
        Labels of the maps, in order.
    mask_img_ : nibabel.Nifti1Image
        The model's mask: the voxels that have values.

    Examples
    --------
    A simulated participant, and the model that ships with the program:

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from bids_dtg.contrasts.phantom.dataset import write_run
    >>> from bids_dtg.contrasts.phantom.model import Phantom
    >>> folder, person = Path(mkdtemp()), Phantom().person(cohort=0, index=0)
    >>> write_run(folder, person, frames=60, repetition_time_s=5.0)
    >>> (bold,) = folder.rglob("*_bold.nii.gz")
    >>> maps = TaskMaps(model="demo", device="cpu").fit()
    >>> image = maps.transform(bold)
    >>> image.shape[3], str(maps.get_feature_names_out()[2])
    (47, 'languageMathVsStory')
    """

    # scikit-learn wants every option as an argument of its own.
    def __init__(
        self,
        model: str | Path | None = None,
        denoise_strategy: str = "simple",
        device: str = "auto",
        *,
        atlas: str | Path | None = "Schaefer400",
        min_coverage: float = 0.5,
        mask_img: str | Path | Image | None = None,
        t_r: float | None = None,
        threads: int | None = None,
        fd_threshold: float | None = None,
        gsr: bool = False,
        high_pass: float | None = None,
        low_pass: float | None = None,
        smoothing_fwhm: float | None = None,
        dummy_scans: str = "auto",
        min_minutes: float = 4.0,
        interpolation: Interpolation = "cubic",
    ) -> None:
        self.model = model
        self.denoise_strategy = denoise_strategy
        self.device = device
        self.atlas = atlas
        self.min_coverage = min_coverage
        self.mask_img = mask_img
        self.t_r = t_r
        self.threads = threads
        self.fd_threshold = fd_threshold
        self.gsr = gsr
        self.high_pass = high_pass
        self.low_pass = low_pass
        self.smoothing_fwhm = smoothing_fwhm
        self.dummy_scans = dummy_scans
        self.min_minutes = min_minutes
        self.interpolation = interpolation

    def fit(self, img: object = None, y: object = None) -> TaskMaps:
        """Load the model and check the options; nothing is learned from data.

        Parameters
        ----------
        img, y
            Ignored; present for scikit-learn pipelines.

        Raises
        ------
        SettingsError
            Option values are invalid or incompatible, or the device is missing.
        BundleError
            The model is missing or damaged.
        """
        settings = self._settings()
        name = str(self.model or default_model())
        bundle = obtain_bundle(name, may_fetch=False)
        if self.model is None and (note := note_on_default(name)):
            warnings.warn(note, stacklevel=2)
        self.bundle_ = bundle
        self.contrasts_ = tuple(contrast.label for contrast in bundle.contrasts)
        self._fitted_with = settings, self.threads
        self._prepare(*self._fitted_with)
        if bundle.part.parcels:
            return self
        mask = np.ones((1, bundle.voxels.number), np.float32)
        self.mask_img_ = bundle.voxels.image(mask).slicer[..., 0]
        return self

    def transform(
        self,
        img: ImageLike | Sequence[ImageLike],
        confounds: ConfoundsLike | Sequence[ConfoundsLike] = None,
        sample_mask: ArrayLike | Sequence[ArrayLike | None] | None = None,
    ) -> Any:
        """Predict the maps of a BOLD image, or of several.

        Parameters
        ----------
        img
            Path of a BOLD series, a nibabel image, a run from `find_runs`, or a list of these. A
            file with fMRIPrep's names may be in any space with a transform to the model's, as on
            the command line; other images must be in the model's space, ``bundle_.grid.space``
            (for a model of parcels, MNI152NLin6Asym), on any grid. A model of parcels also takes
            arrays of cleaned series (frames, parcels), in the order of ``bundle_.places.names``.
        confounds
            Confounds of each image. A path or data frame is a table with fMRIPrep's columns, from
            which the strategy chooses. An array (frames, columns) is removed as a whole, instead
            of the strategy's columns. None: the table next to the file.
        sample_mask
            For each image, indices of the frames to keep, or a boolean array (frames,); the
            strategy drops further frames.

        Returns
        -------
        nibabel.Nifti1Image
            (i, j, k, contrasts), in the units of the model's maps, or a list of these if several
            images were given. For a model of parcels, arrays (contrasts, parcels). After
            ``set_output(transform="pandas")``, a data frame with one row per image, with the index
            of a pandas Series of images, and one column per contrast and region.

        Raises
        ------
        RunError
            A file cannot be used, or too little time is left after censoring.
        SettingsError
            Options do not suit the image, or a data frame was asked for without an atlas.

        Warns
        -----
        UserWarning
            Unusual findings about an image, as on the command line.
        """
        check_is_fitted(self)
        several = isinstance(img, list | tuple | np.ndarray) or hasattr(img, "iloc")
        if self.bundle_.part.parcels and isinstance(img, np.ndarray):
            several = img.ndim != 2  # an array of two axes is one person's
        images = list(img) if several else [img]  # type: ignore[arg-type]
        tables = _arguments_of_images(confounds, len(images), several, "confounds")
        masks = _arguments_of_images(sample_mask, len(images), several, "sample_mask")
        inputs = zip(images, tables, masks, strict=True)
        estimates = (self._estimate(*image_inputs) for image_inputs in inputs)
        if self._container != "default":
            index = getattr(img, "index", None) if hasattr(img, "iloc") else None
            return self._frame(estimates, index)
        map_images = [self._image(estimate) for estimate in estimates]
        return map_images if several else map_images[0]

    def fit_transform(
        self,
        img: ImageLike | Sequence[ImageLike],
        y: object = None,
        confounds: ConfoundsLike | Sequence[ConfoundsLike] = None,
        sample_mask: ArrayLike | Sequence[ArrayLike | None] | None = None,
    ) -> Any:
        """Fit, then transform the images; see `fit` and `transform`."""
        return self.fit(img, y).transform(img, confounds, sample_mask)

    def image(self, values: ArrayLike, space: str = TEMPLATE_SPACE) -> Image:
        """Paint values of a model of parcels in a template, as the command line does.

        Parameters
        ----------
        values
            (contrasts, parcels) as from `transform`, or (parcels,).
        space
            MNI152NLin6Asym or MNI152NLin2009cAsym.

        Returns
        -------
        nibabel.Nifti1Image
            (i, j, k, contrasts), or (i, j, k): near the template's cortex, each voxel has the value
            of the parcel of the nearest vertex; 0 elsewhere.

        Raises
        ------
        SettingsError
            The space is not one of these, or the model has voxels.
        ValueError
            The number of parcels is not the model's.

        Examples
        --------
        >>> maps = TaskMaps(model="hcp-glasser").fit()
        >>> maps.image(np.ones(360)).shape
        (91, 109, 91)
        """
        check_is_fitted(self)
        places = self.bundle_.places
        if not isinstance(places, ParcelPlaces):
            raise SettingsError(
                f"image was called for {self.bundle_.name}, whose maps are images",
                expected="a model of parcels",
            )
        if space not in PAINTABLE:
            raise SettingsError(
                f"image was called with space={space!r}",
                expected=f"one of {', '.join(PAINTABLE)}",
                remedy=did_you_mean(space, PAINTABLE),
            )
        maps = np.asarray(values, np.float32)
        if maps.ndim not in (1, 2) or maps.shape[-1] != places.number:
            raise ValueError(
                f"values are (contrasts, {places.number} parcels), not {maps.shape}"
            )
        voxels, painting = painted(places, space)
        volumes = voxels.image(
            painting.apply(np.atleast_2d(maps)),
            intent="none",
            description=f"bids_dtg {__version__} predicted from rest",
        )
        return volumes if maps.ndim == 2 else volumes.slicer[..., 0]

    def get_feature_names_out(
        self, input_features: object = None
    ) -> NDArray[np.object_]:
        """Return the names of the volumes, or data frame columns, that `transform` returns.

        Parameters
        ----------
        input_features
            Ignored; present for scikit-learn pipelines.

        Returns
        -------
        numpy.ndarray
            Labels of contrasts; for a data frame, ``contrast__region``, contrast by contrast.
        """
        check_is_fitted(self)
        if self._container == "default":
            return np.asarray(self.contrasts_, object)
        if isinstance(self.bundle_.places, ParcelPlaces):
            regions = np.array(self.bundle_.places.names, object)
        else:
            atlas, fillable = self._regions()
            regions = np.array(list(atlas.parcels.values()), object)[fillable]
        names = list[str]()
        for label in self.contrasts_:
            names += [f"{label}{_BETWEEN}{region}" for region in regions]
        return np.asarray(names, object)

    def set_output(self, *, transform: Container | None = None) -> TaskMaps:
        """Choose what `transform` returns.

        Parameters
        ----------
        transform
            default: a nibabel image; pandas or polars: a data frame of regions; None: no change.

        Raises
        ------
        ValueError
            There is no such container.
        """
        if transform is None:
            return self
        if transform not in _CONTAINERS:
            raise ValueError(
                f"transform is {transform!r}. Expected: {', '.join(_CONTAINERS)}"
            )
        # scikit-learn's `clone` looks for this name.
        self._sklearn_output_config = {"transform": transform}
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # images and paths
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "bundle_")

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        return {name: value for name, value in state.items() if name not in _PREPARED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "bundle_" in state:
            self._prepare(*self._fitted_with)  # parameters may have changed since `fit`

    @property
    def _container(self) -> Container:
        config: dict[str, Container] = getattr(self, "_sklearn_output_config", {})
        default: Container = get_config()["transform_output"]
        return config.get("transform", default)

    def _settings(self) -> Settings:
        """Compose settings as on the command line, so that the same checks apply."""
        cleaning_names = {field.name for field in fields(CleaningOptions)}
        names = cleaning_names & self.get_params(deep=False).keys()
        settings = Settings.of(
            bids_dir=Path(),
            output_dir=Path(),
            analysis_level="participant",
            model=None if self.model is None else str(self.model),
            device=self.device,
            **{name: getattr(self, name) for name in names},
        )
        resolve(settings.cleaning, "auto")
        return settings

    def _prepare(self, settings: Settings, threads: int | None) -> None:
        """Make the attributes that cannot be copied to other processes."""
        bundle = self.bundle_
        threads = threads or available_cores()
        self._reader = Reader(
            bundle, settings.cleaning, threads=threads, keep_whole=False
        )
        self._model = Model(bundle, map_device(settings.resources.device), threads)
        self._atlases: dict[str, Atlas] = {}  # loaded when first needed

    def _estimate(
        self, image: ImageLike, confounds: ConfoundsLike, sample_mask: ArrayLike | None
    ) -> Estimate:
        bundle, reader = self.bundle_, self._reader
        is_file = isinstance(image, str | Path | RestRun | SpatialImage)
        if bundle.part.parcels and not is_file:
            series = np.asarray(image)
            keep = None
            if sample_mask is not None:
                keep = np.isin(np.arange(len(series)), sample_mask)
            seconds = self.t_r or bundle.card.training.repetition_time_s or 1.0
            connectomes = measure_parcels(
                series, reader, repetition_time_s=seconds, keep=keep
            )
            return self._judged(connectomes, None, "the array", [])
        templateflow = TemplateFlow.here(download=True)
        rule = SpaceRule(model=bundle.space, templateflow=templateflow)
        image_run = as_run(
            image, confounds, rule=rule, mask=self.mask_img, tr_seconds=self.t_r
        )
        with image_run as (run, columns):
            cleaning = reader.cleaning
            if columns is not None:
                cleaning = replace(
                    cleaning, denoise_strategy="none", custom_confounds=columns
                )
            keep = None if sample_mask is None else _frames_to_keep(sample_mask, run)
            measured = reader.measure(run, keep=keep, cleaning=cleaning)
        title = measured.run.title
        notes = [*measured.notes, *_notes_on_columns(confounds, measured)]
        return self._judged(measured.connectomes, measured.mask_overlap, title, notes)

    def _judged(
        self,
        run: RunConnectomes,
        mask_overlap: float | None,
        title: str,
        notes: list[str],
    ) -> Estimate:
        """Predict maps of a run, and warn of its notes and of what is unusual for the model."""
        judged = self._reader.judge(run, mask_overlap)
        lines = [f"{title}: {note}" for note in notes]
        if judged.verdict != "inside":
            reasons = "; ".join(judged.reasons)
            lines.append(
                f"{title}: the run is {judged.verdict} for the model: {reasons}"
            )
        estimate = estimate_maps(run.segments, self._model)
        for line in (*lines, *self._model.take_notes()):
            warnings.warn(line, stacklevel=5)
        return estimate

    def _image(self, estimate: Estimate) -> Any:
        if self.bundle_.part.parcels:
            return estimate.values
        return self.bundle_.voxels.image(
            estimate.values,
            intent="z score" if self.bundle_.part.statistic == "z" else "none",
            description=f"bids_dtg {__version__} predicted from rest",
        )

    def _frame(self, estimates: Iterable[Estimate], index: Any) -> Any:
        rows = list[Floats]()
        if self.bundle_.part.parcels:
            rows += [estimate.values.ravel() for estimate in estimates]
        else:
            atlas, fillable = self._regions()
            for estimate in estimates:
                values = at_parcels(self.bundle_, atlas, estimate.values, None)
                means = region_means(values, atlas, self.min_coverage)
                rows.append(means[:, fillable].ravel())
        names = list(self.get_feature_names_out())
        if self._container == "pandas":
            import pandas as pd

            return pd.DataFrame(np.stack(rows), columns=names, index=index)
        import polars

        return polars.DataFrame(np.stack(rows), schema=names, orient="row")

    def _regions(self) -> tuple[Atlas, Mask]:
        """Return the atlas of data frames, and which regions are covered enough by the mask."""
        if self.atlas is None:
            raise SettingsError(
                "a data frame of regions was asked for with atlas=None",
                expected="an atlas, or set_output(transform='default') for images",
            )
        name = str(self.atlas)
        if name not in self._atlases:
            self._atlases[name] = find_atlas(self.atlas, self.bundle_.voxels)
        atlas = self._atlases[name]
        everywhere = np.ones((1, self.bundle_.places.number), np.float32)
        everywhere = at_parcels(self.bundle_, atlas, everywhere, None)
        share = region_voxels(everywhere, atlas)[0] / np.maximum(atlas.voxels, 1)
        fillable: Mask = (share >= self.min_coverage) & (share > 0)
        if not fillable.any():
            raise SettingsError(
                f"the model's mask holds at most {share.max():.0%} of a region of {atlas.key}",
                expected=f"{self.min_coverage:.0%} or more (min_coverage) of at least one region",
            )
        return atlas, fillable


def _arguments_of_images(
    argument: Any, number: int, several: bool, name: str
) -> list[Any]:
    """Return the argument of each image; None for each if there is none."""
    if argument is None:
        return [None] * number
    if not several:
        return [argument]
    is_list = isinstance(argument, list | tuple)
    if not is_list or len(argument) != number:
        words = f"{len(argument)} of them" if is_list else type(argument).__name__
        raise ValueError(
            f"{name} must be a list, one item for each of {number} images, not {words}"
        )
    return list(argument)


def _frames_to_keep(sample_mask: ArrayLike, run: RestRun) -> Mask:
    """Return which frames to keep, from indices or a boolean array."""
    frames = read_bold_header(run.bold).frames
    keep = np.zeros(frames, bool)
    index = np.asarray(sample_mask)
    try:
        if index.dtype != np.bool_:
            index = index.astype(np.intp, casting="same_kind")
        keep[index] = True
    except (IndexError, TypeError) as err:
        raise ValueError(
            f"sample_mask has invalid indices of {frames} frames: {err}"
        ) from err
    return keep


def _notes_on_columns(confounds: ConfoundsLike, measured: MeasuredRun) -> list[str]:
    """Report columns of the user's data frame that the strategy does not use."""
    columns = [str(name) for name in getattr(confounds, "columns", ())]
    unused = [name for name in columns if name not in measured.confounds.names]
    # Complete tables of fMRIPrep hold this column, and no strategy removes all of their columns.
    if not unused or "framewise_displacement" in columns:
        return []
    listed = ", ".join(unused[:5])
    if len(unused) > 5:
        listed += f" and {len(unused) - 5} more"
    return [
        f"{listed} of the data frame of confounds were not removed, because the "
        "strategy uses other columns. To do: pass an array to have all columns removed"
    ]
