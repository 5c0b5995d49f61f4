"""The command `dtg-models`: fetch, list, verify, check, carry and convert model bundles.

Exit codes: 0 done; 1 something cannot be written; 2 wrong arguments, model or
checkpoint, or a model that cannot be fetched; 70 internal error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bids_dtg.cli.exits import Parser, call
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.errors import BundleError, DtgError, SettingsError, did_you_mean
from bids_dtg.notices import say, show
from bids_dtg.streams import run_program
from bids_dtg.version import __version__

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle

_TERMS = "The published models were trained on HCP data: their use is under HCP's data-use terms.\n"
_FETCH_EPILOG = f"""\
The published models are hcp-ya, hcp-d and ukb. Their files come from GitHub, at fixed
commits, and are verified before anything reads them. A broken download is resumed.
TemplateFlow's transform for runs in MNI152NLin2009cAsym (205 MB), fMRIPrep's default
space, is fetched with them, into TemplateFlow's folder.

  DTG_MODEL_MIRROR  hosts that are asked before GitHub (addresses, with spaces between)
  HTTPS_PROXY       a proxy; REQUESTS_CA_BUNDLE its certificates
  DTG_OFFLINE       if set to 1, nothing is fetched

{_TERMS}"""
_SELFTEST_EPILOG = """\
Rest is simulated from a seed, the same for everybody. It is compared: the prepared network with
torch's (where torch is installed), whether maps are finite and on a plausible scale, and whether
contrasts of a difference have the sign of their parts. fetch does the same at its end.

exit codes: 0 passed, or the kind has no self-check; 2 failed.
"""
_CONVERT_EPILOG = f"""\
example, for the published HCP-YA model:
  dtg-models convert main_model_hcp-ya_010525.ckpt ~/.cache/bids_dtg/models/hcp-ya \\
    --name hcp-ya --maps melodic_IC_MNI_2mm.nii.gz \\
    --brain-mask MNI_2mm_brain_mask.nii --mask MNI_2mm_GM_mask_crop.nii
{_TERMS}"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    parser = Parser(
        prog="dtg-models",
        description="Fetch, list, verify, check, carry and convert models of bids_dtg.",
    )
    parser.add_argument("--version", action="version", version=f"bids_dtg {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(
            name,
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_argument("--debug", action="store_true", help="show where an error comes from")
        return added

    metavar, which = "PATH|NAME", "a bundle's folder, or an installed name"
    command("list", "list the models that --model finds by name, and the published ones")
    fetch = command("fetch", "fetch published models", _FETCH_EPILOG)
    fetch.add_argument("models", nargs="+", metavar="NAME", help="hcp-ya, hcp-d or ukb")
    fetch.add_argument(
        "--into", type=Path, metavar="FOLDER", help="folder of models (default: the user's cache)"
    )
    verify = command("verify", "compare every byte of models with their cards")
    verify.add_argument("models", nargs="*", metavar=metavar, help=f"{which} (default: all)")
    info = command("info", "verify a model and show its card")
    info.add_argument("model", metavar=metavar, help=which)
    selftest = command(
        "selftest", "put simulated rest through models, and judge what comes out", _SELFTEST_EPILOG
    )
    selftest.add_argument("models", nargs="+", metavar=metavar, help=which)
    remove = command("remove", "remove a model, a damaged one too")
    remove.add_argument("model", metavar=metavar, help="an installed name, or a bundle's folder")
    convert = command(
        "convert", "make a bundle from a checkpoint, ROI maps and masks", _CONVERT_EPILOG
    )
    _add_convert_options(convert)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-models`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    commands = {
        "list": _list,
        "fetch": _fetch,
        "verify": _verify,
        "info": _info,
        "selftest": _selftest,
        "remove": _remove,
        "convert": _convert,
    }

    def action() -> int:
        commands[arguments.command](arguments)
        return 0

    left = "a broken download is resumed the next time, nothing else is left"
    return call("dtg-models", action, debug=arguments.debug, interrupted=left)


def run() -> NoReturn:
    """Run ``dtg-models`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-models", main)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def _add_convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="Lightning .ckpt file")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the bundle, made anew")
    inputs = parser.add_argument_group("files of the model")
    inputs.add_argument(
        "--maps", type=Path, required=True, metavar="FILE", help="4-D NIfTI, one volume a ROI"
    )
    inputs.add_argument(
        "--brain-mask", type=Path, required=True, metavar="FILE", help="where ROI series are made"
    )
    inputs.add_argument(
        "--mask", type=Path, required=True, metavar="FILE", help="grey matter; defines the grid"
    )
    inputs.add_argument(
        "--contrasts",
        type=Path,
        metavar="FILE",
        help="table with tabs and a column label, one line an output "
        "(default: the 47 HCP-YA contrasts)",
    )
    card = parser.add_argument_group("what the model card says")
    card.add_argument("--name", required=True, help="the model's name")
    card.add_argument("--model-version", default="1", metavar="TEXT", help="(default: 1)")
    card.add_argument("--space", help="(default: MNI152NLin6Asym)")
    card.add_argument("--resolution", metavar="LABEL", help="of res- (default: 2)")
    card.add_argument("--licence", default="unknown", metavar="TEXT", help="terms of use")
    card.add_argument("--citation", default="", metavar="TEXT", help="what users should cite")
    card.add_argument("--description", default="", metavar="TEXT", help="one line in plain words")
    card.add_argument("--training-data", default="unknown", metavar="TEXT", help="its data set")
    card.add_argument("--training-tr", type=_seconds, metavar="SECONDS", help="seconds a frame")
    card.add_argument("--training-cleaning", default="unknown", metavar="TEXT", help="in words")
    card.add_argument("--training-participants", type=int, metavar="N", help="how many people")
    card.add_argument(
        "--segment-seconds",
        type=_seconds,
        metavar="SECONDS",
        help="rest in one training sample (default: 432)",
    )
    card.add_argument(
        "--notice", default="", metavar="TEXT", help="a line that users see at each use"
    )
    card.add_argument(
        "--not-for-science", action="store_true", help="mark every output; needs --notice"
    )


def _list(_arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.overview import model_lines
    from bids_dtg.bundles.store import model_folders

    _print(model_lines())
    show("looked in:")
    for folder in model_folders():
        absent = "" if folder.path.is_dir() else ", absent"
        show(f"  {folder.path} ({folder.origin}{absent})")


def _fetch(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.fetch import fetch_models
    from bids_dtg.bundles.published import all_published
    from bids_dtg.bundles.store import require_user_cache
    from bids_dtg.progress import Board

    published = all_published()
    for name in arguments.models:
        if name not in published:
            raise SettingsError(
                f"no published model is called {name!r}",
                expected=f"{', '.join(published)} (demo is part of the program)",
                remedy=did_you_mean(name, published),
            )
    models = [published[name] for name in dict.fromkeys(arguments.models)]
    with Board(1) as board:
        bundles = fetch_models(models, arguments.into or require_user_cache(), board.lane(0))
    for bundle in bundles:
        show(f"{bundle.card.name} {bundle.card.version}: {bundle.path}")
        show(f"notice: {bundle.card.notice}")
    _fetch_transform()
    _check(bundles)


def _fetch_transform() -> None:
    """Fetch what fMRIPrep's default output needs; the models are here, with it or without."""
    from bids_dtg.inputs.anatomy import USUAL_TEMPLATE
    from bids_dtg.inputs.space_choice import SPACE
    from bids_dtg.inputs.templateflow import TemplateFlow

    try:
        path = TemplateFlow.here(download=True).transform(SPACE, USUAL_TEMPLATE)
    except DtgError as err:
        say(f"dtg-models: warning: runs that are only in {USUAL_TEMPLATE} need a transform: {err}")
    else:
        show(f"transform of runs in {USUAL_TEMPLATE}: {path}")


def _verify(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_any_bundle
    from bids_dtg.bundles.store import installed_models

    damaged = []
    for model in arguments.models or [model.path for model in installed_models()]:
        try:
            bundle = load_any_bundle(model)
            bundle.check_weights()
        except BundleError as err:
            show(f"{model}: {err}")
            damaged.append(model)
        else:
            show(f"{model}: whole, {bundle.card.name} {bundle.card.version}, {bundle.identity}")
    if damaged:
        names = ", ".join(str(model) for model in damaged)
        raise BundleError(f"{len(damaged)} cannot be used: {names}")


def _info(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_any_bundle
    from bids_dtg.bundles.kinds import all_kinds
    from bids_dtg.bundles.overview import bundle_lines

    bundle = load_any_bundle(arguments.model)
    bundle.check_weights()
    _print(bundle_lines(bundle))
    _print(all_kinds()[bundle.card.kind].tables(bundle))


def _selftest(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_any_bundle

    _check([load_any_bundle(model) for model in arguments.models])


def _check(bundles: Sequence[Bundle[Any]]) -> None:
    """Check models, print what was found, and refuse the first that failed."""
    from bids_dtg.bundles.selftest import require_passed, run_selftest, selftest_lines

    found = [(bundle, run_selftest(bundle)) for bundle in bundles]
    for bundle, checks in found:
        _print(selftest_lines(bundle, checks))
    for bundle, checks in found:
        require_passed(bundle, checks)


def _remove(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.store import remove_bundle

    show(f"removed {remove_bundle(arguments.model)}")


def _convert(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.card import ModelCard, TrainingData
    from bids_dtg.bundles.overview import bundle_lines
    from bids_dtg.contrasts.bundle.convert import convert_checkpoint, read_contrasts
    from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
    from bids_dtg.contrasts.bundle.part import MapsPart

    contrasts = read_contrasts(arguments.contrasts) if arguments.contrasts else ()
    card = ModelCard(
        name=arguments.name,
        version=arguments.model_version,
        kind=ATTENTION_UNET.name,
        part=MapsPart(contrasts, segment_seconds=arguments.segment_seconds or 432.0),
        licence=arguments.licence,
        citation=arguments.citation,
        description=arguments.description,
        training=TrainingData(
            data=arguments.training_data,
            repetition_time_s=arguments.training_tr,
            cleaning=arguments.training_cleaning,
            participants=arguments.training_participants,
        ),
        for_science=not arguments.not_for_science,
        notice=arguments.notice,
        sources=_sources(arguments),
    )
    bundle = convert_checkpoint(
        arguments.checkpoint,
        arguments.out,
        card,
        maps=arguments.maps,
        brain_mask=arguments.brain_mask,
        mask=arguments.mask,
        space=arguments.space or "MNI152NLin6Asym",
        resolution="2" if arguments.resolution is None else arguments.resolution or None,
    )
    _print(bundle_lines(bundle))
    show(f"use it with: bids_dtg BIDS_DIR OUTPUT_DIR participant --model {bundle.path}")


def _sources(arguments: argparse.Namespace) -> dict[str, str]:
    """Return which facts were given, and which the program takes from the published models."""
    given = {
        "licence": arguments.licence != "unknown",
        "citation": bool(arguments.citation),
        "description": bool(arguments.description),
        "training.data": arguments.training_data != "unknown",
        "training.repetition_time_s": arguments.training_tr is not None,
        "training.cleaning": arguments.training_cleaning != "unknown",
        "training.participants": arguments.training_participants is not None,
    }
    assumed = {
        "grid": arguments.space is not None and arguments.resolution is not None,
        "segment_seconds": arguments.segment_seconds is not None,
        "contrasts": arguments.contrasts is not None,
    }
    # Of what was not given there is nothing, but for what has a default.
    stated = {name: "stated" for name, is_given in given.items() if is_given}
    return stated | {name: "stated" if known else "inferred" for name, known in assumed.items()}


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        show(line)


if __name__ == "__main__":
    run()
