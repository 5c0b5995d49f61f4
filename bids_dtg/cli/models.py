"""The command `dtg-models`: fetch, list, show, verify and convert model bundles.

Exit codes: 0 done; 1 something could not be written; 2 wrong arguments, model or
checkpoint, or a model that could not be fetched; 70 internal error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bids_dtg.cli.exits import Parser, call
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.errors import BundleError, DtgError
from bids_dtg.notices import run_program, say, show
from bids_dtg.option import find_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bids_dtg.bundles.bundle import Bundle

_TERMS = "The published models were trained on HCP data; HCP's data-use terms apply to them.\n"
_FETCH_EPILOG = f"""\
The published models are hcp-ya, hcp-d and ukb. Their files come from GitHub, at fixed
commits, and are verified before they are used. An interrupted download is resumed.
TemplateFlow's transform for runs in MNI152NLin2009cAsym (205 MB), fMRIPrep's default
space, is fetched with them, into TemplateFlow's folder.

  DTG_MODEL_MIRROR  addresses that are tried before GitHub, separated by spaces
  HTTPS_PROXY       a proxy; REQUESTS_CA_BUNDLE its certificates
  DTG_OFFLINE       if set to 1, nothing is fetched

{_TERMS}"""
_VERIFY_EPILOG = """\
All files are compared with the checksums in the model's card. Then the model predicts maps
from simulated rest: the prepared network must agree with PyTorch's (where PyTorch is
installed), maps must be finite, and the map of a contrast A-B must correlate positively with
the difference of the maps of A and B. fetch ends with the same checks.

exit codes: 0 intact, and all checks passed; 2 damaged, or a check failed.
"""
_CONVERT_EPILOG = f"""\
example, for the published HCP-YA model:
  dtg-models convert main_model_hcp-ya_010525.ckpt ~/.cache/bids_dtg/models/hcp-ya \\
    --name hcp-ya --maps melodic_IC_MNI_2mm.nii.gz \\
    --brain-mask MNI_2mm_brain_mask.nii --mask MNI_2mm_GM_mask_crop.nii
{_TERMS}"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser, without heavy imports."""
    parser = Parser(
        prog="dtg-models", description="Fetch, list, verify and convert models."
    )
    parser.add_usual()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        do: Callable[[argparse.Namespace], None],
        description: str,
        epilog: str | None = None,
    ) -> argparse.ArgumentParser:
        added: Parser = commands.add_parser(
            do.__name__.removeprefix("_"),
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(do=do)
        added.add_usual()
        return added

    metavar, which = "PATH|NAME", "a bundle's folder, or an installed name"
    command(_list, "list the models that --model finds by name, and the published ones")
    fetch = command(_fetch, "fetch published models", _FETCH_EPILOG)
    fetch.add_argument("models", nargs="+", metavar="NAME", help="hcp-ya, hcp-d or ukb")
    fetch.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        help="folder of models (default: the user's cache)",
    )
    verify = command(
        _verify, "compare models with their cards, and check their maps", _VERIFY_EPILOG
    )
    verify.add_argument(
        "models", nargs="*", metavar=metavar, help=f"{which} (default: all)"
    )
    info = command(_info, "show the card of a model")
    info.add_argument("model", metavar=metavar, help=which)
    convert = command(
        _convert, "make a bundle from a checkpoint, ROI maps and masks", _CONVERT_EPILOG
    )
    _add_convert_options(convert)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-models`` and return its exit code."""
    arguments = build_parser().parse_args(argv)

    def action() -> int:
        arguments.do(arguments)
        return 0

    debug = arguments.verbose > 1
    words = "an interrupted download is resumed next time; nothing else is left behind"
    return call("dtg-models", action, debug=debug, interrupted=words)


def run() -> NoReturn:
    """Run ``dtg-models`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("dtg-models", main)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


# Options of convert: files of the model, and what its card says.
_FILES = (
    ("--maps", "ROI maps, 4-D NIfTI with one volume per ROI"),
    ("--brain-mask", "brain mask, within which ROI series are computed"),
    ("--mask", "grey-matter mask, which defines the model's grid"),
    (
        "--contrasts",
        "table with a column label, one row per output (default: the 47 HCP-YA contrasts)",
    ),
)
_CARD_FIELDS: tuple[tuple[str, Callable[[str], Any], str, str], ...] = (
    ("--model-version", str, "TEXT", "(default: 1)"),
    ("--space", str, "SPACE", "(default: MNI152NLin6Asym)"),
    ("--resolution", str, "LABEL", "value of res- (default: 2)"),
    ("--licence", str, "TEXT", "terms of use"),
    ("--citation", str, "TEXT", "what users should cite"),
    ("--description", str, "TEXT", "one line in plain words"),
    ("--training-data", str, "TEXT", "training dataset"),
    ("--training-cleaning", str, "TEXT", "how its runs were cleaned, in words"),
    ("--notice", str, "TEXT", "a line that users see at each use"),
    ("--training-participants", int, "N", "number of training participants"),
    ("--training-tr", _seconds, "SECONDS", "repetition time of the training runs"),
    (
        "--segment-seconds",
        _seconds,
        "SECONDS",
        "seconds of rest in one training sample (default: 432)",
    ),
)


def _add_convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="Lightning .ckpt file"
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder of the new bundle"
    )
    inputs = parser.add_argument_group("files of the model")
    for flag, words in _FILES:
        required = flag != "--contrasts"
        inputs.add_argument(
            flag, type=Path, required=required, metavar="FILE", help=words
        )
    card = parser.add_argument_group("what the model card says")
    card.add_argument("--name", required=True, help="the model's name")
    for flag, convert, metavar, words in _CARD_FIELDS:
        card.add_argument(flag, type=convert, metavar=metavar, help=words)
    card.add_argument(
        "--not-for-science",
        action="store_true",
        help="mark every output as not for science; needs --notice",
    )
    parser.set_defaults(
        space="MNI152NLin6Asym",
        resolution="2",
        segment_seconds=432.0,
        model_version="1",
        **dict.fromkeys(("licence", "training_data", "training_cleaning"), "unknown"),
        **dict.fromkeys(("citation", "description", "notice"), ""),
    )


def _list(_arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.overview import model_lines
    from bids_dtg.bundles.store import model_folders, unreadable_folders

    show(*model_lines())
    show("folders searched:")
    refused = unreadable_folders()
    for folder, origin in model_folders().items():
        absent = "" if os.path.lexists(folder) else "absent"
        state = refused.get(folder, absent)
        show(f"  {folder} ({', '.join(filter(None, (origin, state)))})")


def _fetch(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.fetch import fetch_models
    from bids_dtg.bundles.store import all_published, user_cache
    from bids_dtg.progress import Board

    published = all_published()
    names = dict.fromkeys(arguments.models)
    models = [find_row(published, "NAME of a published model", name) for name in names]
    with Board(1) as board:
        bundles = fetch_models(models, arguments.into or user_cache(), board.lane(0))
    for bundle in bundles:
        show(f"{bundle.title}: {bundle.path}")
        show(f"notice: {bundle.card.notice}")
    _fetch_transform()
    _check(bundles)


def _fetch_transform() -> None:
    """Fetch the transform that fMRIPrep's default space needs; without it, models still work."""
    from bids_dtg.inputs.anatomy import USUAL_TEMPLATE
    from bids_dtg.inputs.run import SPACE
    from bids_dtg.inputs.templateflow import TemplateFlow

    try:
        path = TemplateFlow.here(download=True).transform(SPACE, USUAL_TEMPLATE)
    except DtgError as err:
        say(
            f"dtg-models: warning: runs that are only in {USUAL_TEMPLATE} need a transform: {err}"
        )
    else:
        show(f"transform of runs in {USUAL_TEMPLATE}: {path}")


def _verify(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_any_bundle
    from bids_dtg.bundles.store import installed_models

    damaged, whole = [], []
    for model in arguments.models or installed_models():
        try:
            bundle = load_any_bundle(model)
            bundle.check_weights()
        except BundleError as err:
            show(f"{model}: {err}")
            damaged.append(str(model))
        else:
            show(f"{model}: intact, {bundle.title}, {bundle.identity}")
            whole.append(bundle)
    _check(whole)
    if damaged:
        raise BundleError(f"{len(damaged)} cannot be used: {', '.join(damaged)}")


def _check(bundles: Iterable[Bundle[Any]]) -> None:
    """Check models on simulated rest, print the outcomes, and raise the first failure."""
    from bids_dtg.bundles.overview import selftest_lines

    failed = []
    for bundle in bundles:
        checks = bundle.selftest()
        show(*selftest_lines(bundle, checks))
        failed += [(bundle, check) for check in checks if check.passed is False]
    if failed:
        bundle, check = failed[0]
        raise BundleError(
            f"{bundle.path} failed its self-check: {check.name}: {check.words}",
            remedy="do not use its maps; fetch or make the model again, and report it if it "
            "fails again",
        )


def _info(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_any_bundle
    from bids_dtg.bundles.overview import bundle_lines

    bundle = load_any_bundle(arguments.model)
    bundle.check_weights()
    show(*bundle_lines(bundle))
    show(*bundle.tables())


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
        part=MapsPart(contrasts, segment_seconds=arguments.segment_seconds),
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
    )
    bundle = convert_checkpoint(
        arguments.checkpoint,
        arguments.out,
        card,
        maps=arguments.maps,
        brain_mask=arguments.brain_mask,
        mask=arguments.mask,
        space=arguments.space,
        resolution=arguments.resolution or None,
    )
    show(*bundle_lines(bundle))
    show(f"use it with: bids_dtg BIDS_DIR OUTPUT_DIR participant --model {bundle.path}")


if __name__ == "__main__":
    run()
