"""Published models, fetched and made into bundles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_dtg.bundles.bundle import Bundle, load_any_bundle, move_folder
from bids_dtg.bundles.store import PublishedModel
from bids_dtg.errors import BundleError
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
    download_folder,
    download_hosts,
    obtain_file,
)
from bids_dtg.files.foreign import reading
from bids_dtg.progress import Reporter

PUBLIC_HOST = "https://raw.githubusercontent.com"


def fetch_models(
    models: Sequence[PublishedModel], folder: Path, reporter: Reporter
) -> list[Bundle[Any]]:
    """Fetch published models and convert them to bundles; existing bundles are only verified.

    One process at a time works in a folder; others wait, and then find its bundles. Files
    that were fetched for a model are kept until its bundle is complete.

    Parameters
    ----------
    models
        The models to fetch.
    folder
        The bundles become subfolders of it, under the models' names.
    reporter
        Shows the progress of the download.

    Returns
    -------
    The bundles, verified, in the order of `models`.

    Raises
    ------
    BundleError
        A file cannot be fetched with the right content, or an existing bundle is damaged or
        another one.
    OutputError
        The folder cannot be written.

    Notes
    -----
    `requests` reads proxies and certificates from the environment. `DTG_MODEL_MIRROR` has base URLs
    that are tried before GitHub, and `DTG_OFFLINE` forbids all downloads.
    """
    targets = {model: folder / model.card.name for model in models}
    absent = [model for model, target in targets.items() if not target.exists()]
    hosts = download_hosts(os.environ, PUBLIC_HOST) if absent else []
    if absent and not hosts:
        raise BundleError(f"nothing is fetched: {OFFLINE_VARIABLE} is set")
    remedy = "choose a folder with dtg-models fetch --into FOLDER, and name it in DTG_MODEL_DIR"
    if absent:
        with download_folder(folder, reporter, remedy=remedy) as work:
            for model in absent:
                target = targets[model]
                if target.exists():  # made by another process while this one waited
                    continue
                reporter.note(f"fetching {model.card.title} into {target}")
                reporter.note(model.card.notice)
                with reading(target, BundleError):
                    fetched = {
                        file: obtain_file(file, work, hosts, reporter)
                        for file in model.files
                    }
                model.convert(fetched, work / target.name, reporter.note)
                move_folder(work / target.name, target)
            for model in models:
                for file in model.files:
                    (work / file.local_name).unlink(missing_ok=True)
    return [_verified(target, model) for model, target in targets.items()]


def _verified(target: Path, model: PublishedModel) -> Bundle[Any]:
    card = model.card
    remedy = f"remove the folder {target}, then fetch it again"
    try:
        bundle = load_any_bundle(target)
    except BundleError as err:
        raise err.as_kind(BundleError, remedy=remedy) from err
    if (bundle.name, bundle.card.version) != (card.name, card.version):
        raise BundleError(
            f"{target} holds {bundle.title}",
            expected=card.title,
            remedy=remedy,
        )
    return bundle
