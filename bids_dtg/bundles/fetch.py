"""Published models into bundles: fetched, verified, converted, in one step or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_dtg.bundles.bundle import Bundle, load_any_bundle, move_bundle
from bids_dtg.bundles.kinds import PublishedModel
from bids_dtg.errors import BundleError, DownloadError
from bids_dtg.extras import require
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
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
    models: Sequence[PublishedModel],
    folder: Path,
    reporter: Reporter,
    env: Mapping[str, str] | None = None,
) -> list[Bundle[Any]]:
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
    absent = [model for model in models if not (folder / model.card.name).exists()]
    made: dict[str, Bundle[Any]] = {}
    if absent and not (hosts := download_hosts(env, PUBLIC_HOST)):
        raise BundleError(f"nothing is fetched: {OFFLINE_VARIABLE} is set")
    for model in absent:
        require(
            f"fetching {model.card.name}, which is converted once,",
            *model.packages,
            extra="torch",
            otherwise="copy the folder of the converted model from another machine",
        )
    if absent:
        with download_folder(folder, reporter, remedy=_ANOTHER_FOLDER) as work:
            for model in absent:
                target = folder / model.card.name
                if target.exists():  # another process made it while this one waited
                    continue
                reporter.note(f"fetching {model.card.name} {model.card.version} into {target}")
                reporter.note(model.card.notice)
                try:
                    fetched = {
                        file: obtain_file(file, work, hosts, reporter) for file in model.files
                    }
                except DownloadError as err:
                    raise BundleError(err.found, expected=err.expected, remedy=err.remedy) from err
                bundle = model.convert(fetched, work / target.name, reporter.note)
                made[target.name] = move_bundle(bundle, target)
            for file in {file for model in models for file in model.files}:
                (work / file.local_name).unlink(missing_ok=True)
    return [made.get(own.card.name) or _verified(folder / own.card.name, own) for own in models]


def _verified(target: Path, model: PublishedModel) -> Bundle[Any]:
    again = f"remove the folder {target}, then fetch it again"
    try:
        bundle = load_any_bundle(target)
    except BundleError as err:
        raise BundleError(err.found, expected=err.expected, remedy=again) from err
    if (bundle.card.name, bundle.card.version) != (model.card.name, model.card.version):
        raise BundleError(
            f"{target} holds {bundle.card.name} {bundle.card.version}",
            expected=f"{model.card.name} {model.card.version}",
            remedy=again,
        )
    return bundle
