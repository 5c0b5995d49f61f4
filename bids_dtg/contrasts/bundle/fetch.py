"""Published models into bundles: fetched, verified, converted, in one step or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_dtg.bundles.writer import move_bundle
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.output_layer import compare_with_published
from bids_dtg.contrasts.bundle.published_people import published_people
from bids_dtg.contrasts.bundle.registry import PUBLISHED, PublishedModel
from bids_dtg.errors import BundleError, DownloadError
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
    FetchedFile,
    PinnedFile,
    download_folder,
    download_hosts,
    obtain_file,
)
from bids_dtg.files.transfer_progress import TransferReporter

PUBLIC_HOST = "https://raw.githubusercontent.com"
_ANOTHER_FOLDER = (
    "choose a folder with dtg-models fetch --into FOLDER, and name it in DTG_MODEL_DIR"
)


def fetch_models(
    models: Sequence[PublishedModel],
    folder: Path,
    reporter: TransferReporter,
    env: Mapping[str, str] | None = None,
) -> list[ModelBundle]:
    """Make bundles of published models; those that are there already are verified only.

    One process at a time works in a folder; others wait, and find its bundles. What was
    fetched of a model is kept until its bundle is there.

    Parameters
    ----------
    models
        What to fetch.
    folder
        The bundles become subfolders of it, under the models' names.
    reporter
        Is given the progress.
    env
        Environment; that of the process if None. Besides what `requests` reads in that of
        the process (proxies, certificates): `DTG_MODEL_MIRROR`, bases of URLs that are
        asked before GitHub, and `DTG_OFFLINE`.

    Returns
    -------
    The bundles, verified, in the order of `models`.

    Raises
    ------
    BundleError
        If a file cannot be had with the right content, or a bundle that is there already is
        damaged or another one.
    OutputError
        If the folder cannot be written.
    SettingsError
        If a mirror is no URL.
    """
    env = os.environ if env is None else env
    if all(_is_there(folder / model.name) for model in models):
        return [_verified(folder / model.name, model) for model in models]
    hosts = download_hosts(env, PUBLIC_HOST)
    if not hosts:
        raise BundleError(f"nothing is fetched: {OFFLINE_VARIABLE} is set")
    with download_folder(folder, reporter, remedy=_ANOTHER_FOLDER) as work:
        bundles = []
        for model in models:
            target = folder / model.name
            if _is_there(target):
                bundles.append(_verified(target, model))
            else:
                bundles.append(
                    _make_bundle(model, target, work=work, hosts=hosts, reporter=reporter)
                )
                for line in compare_with_published(
                    bundles[-1], (folder / name for name in PUBLISHED)
                ):
                    reporter.note(line)
        for file in {file for model in models for file in model.files}:
            (work / file.local_name).unlink(missing_ok=True)
        return bundles


def _make_bundle(
    model: PublishedModel,
    target: Path,
    *,
    work: Path,
    hosts: Sequence[str],
    reporter: TransferReporter,
) -> ModelBundle:
    from bids_dtg.contrasts.bundle.convert import CheckpointFiles, ModelFacts, convert_checkpoint

    reporter.note(f"fetching {model.name} {model.version} into {target}")
    reporter.note(model.notice)
    fetched = {file: _obtain(file, work, hosts, reporter) for file in model.files}
    reporter.note(f"converting {model.checkpoint.name}")
    files = CheckpointFiles(
        checkpoint=fetched[model.checkpoint].path,
        maps=fetched[model.maps].path,
        brain_mask=fetched[model.brain_mask].path,
        mask=fetched[model.mask].path,
    )
    facts = ModelFacts(
        name=model.name,
        version=model.version,
        licence=model.licence,
        citation=model.citation,
        description=model.description,
        training=model.training,
        segment_seconds=model.segment_seconds,
        notice=model.notice,
        record={"published_files": [_entry(file, fetched[file]) for file in model.files]},
        sources=model.sources,
        people=published_people(model),
    )
    return move_bundle(convert_checkpoint(files, work / model.name, facts), target)


def _obtain(
    file: PinnedFile, work: Path, hosts: Sequence[str], reporter: TransferReporter
) -> FetchedFile:
    try:
        return obtain_file(file, work, hosts, reporter)
    except DownloadError as err:
        raise BundleError(err.found, expected=err.expected, remedy=err.remedy) from err


def _entry(file: PinnedFile, fetched: FetchedFile) -> dict[str, Any]:
    """Return what the card records of a file that its bundle was made from."""
    return {
        "location": file.location,
        "algorithm": file.digest.algorithm,
        "digest": file.digest.hexadecimal,
        "sha256": fetched.sha256,
        "size": fetched.path.stat().st_size,
    }


def _is_there(target: Path) -> bool:
    return target.is_symlink() or target.exists()


def _verified(target: Path, model: PublishedModel) -> ModelBundle:
    again = f"remove it with dtg-models remove {model.name}, then fetch it again"
    try:
        bundle = load_bundle(target)
    except BundleError as err:
        raise BundleError(err.found, expected=err.expected, remedy=again) from err
    if (bundle.card.name, bundle.card.version) != (model.name, model.version):
        raise BundleError(
            f"{target} holds {bundle.card.name} {bundle.card.version}",
            expected=f"{model.name} {model.version}",
            remedy=again,
        )
    return bundle
