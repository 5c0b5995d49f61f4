"""Published models into bundles: fetched, verified, converted, in one step or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_dtg.bundles.published import Made, PublishedModel
from bids_dtg.bundles.writer import move_bundle
from bids_dtg.errors import BundleError, DownloadError
from bids_dtg.extras import require
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
    FetchedFile,
    PinnedFile,
    download_folder,
    download_hosts,
    obtain_file,
)
from bids_dtg.progress import Reporter

PUBLIC_HOST = "https://raw.githubusercontent.com"
_ANOTHER_FOLDER = (
    "choose a folder with dtg-models fetch --into FOLDER, and name it in DTG_MODEL_DIR"
)


def fetch_models(
    models: Sequence[PublishedModel[Made]],
    folder: Path,
    reporter: Reporter,
    env: Mapping[str, str] | None = None,
) -> list[Made]:
    """Make bundles of published models; those that are there already are verified only.

    One process at a time works in a folder; others wait, and find its bundles. What was
    fetched of a model is kept until its bundle is there.

    Parameters
    ----------
    models
        Names of the models to fetch.
    folder
        The bundles become subfolders of it, under the models' names.
    reporter
        Shows the progress of the download.
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
        If a mirror is no URL, or a package is missing that converts a model.
    """
    env = os.environ if env is None else env
    if all(_is_there(folder / model.name) for model in models):
        return [_verified(folder / model.name, model) for model in models]
    hosts = download_hosts(env, PUBLIC_HOST)
    if not hosts:
        raise BundleError(f"nothing is fetched: {OFFLINE_VARIABLE} is set")
    for model in models:
        if not _is_there(folder / model.name):
            require(
                f"fetching {model.name}, which is converted once,",
                *model.packages,
                extra="torch",
                otherwise="copy the folder of the converted model from another machine",
            )
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
        for file in {file for model in models for file in model.files}:
            (work / file.local_name).unlink(missing_ok=True)
        return bundles


def _make_bundle(
    model: PublishedModel[Made],
    target: Path,
    *,
    work: Path,
    hosts: Sequence[str],
    reporter: Reporter,
) -> Made:
    reporter.note(f"fetching {model.name} {model.version} into {target}")
    reporter.note(model.card.notice)
    fetched = {file: _obtain(file, work, hosts, reporter) for file in model.files}
    return move_bundle(model.convert(fetched, work / model.name, reporter.note), target)


def _obtain(file: PinnedFile, work: Path, hosts: Sequence[str], reporter: Reporter) -> FetchedFile:
    try:
        return obtain_file(file, work, hosts, reporter)
    except DownloadError as err:
        raise BundleError(err.found, expected=err.expected, remedy=err.remedy) from err


def _is_there(target: Path) -> bool:
    return target.is_symlink() or target.exists()


def _verified(target: Path, model: PublishedModel[Made]) -> Made:
    again = f"remove the folder {target}, then fetch it again"
    try:
        bundle = model.load(target)
    except BundleError as err:
        raise BundleError(err.found, expected=err.expected, remedy=again) from err
    if (bundle.card.name, bundle.card.version) != (model.name, model.version):
        raise BundleError(
            f"{target} holds {bundle.card.name} {bundle.card.version}",
            expected=f"{model.name} {model.version}",
            remedy=again,
        )
    return bundle
