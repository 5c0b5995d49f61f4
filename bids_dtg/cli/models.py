"""The command `dtg-models`: fetch, list, show, verify and convert model bundles.

Exit codes: 0 done; 1 something cannot be written; 2 wrong arguments, model or
checkpoint, or a model that cannot be fetched; 70 internal error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bids_dtg.cli.exits import Parser, call
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.errors import BundleError, DtgError, SettingsError, did_you_mean
from bids_dtg.notices import run_program, say, show

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_VERIFY_EPILOG = """\
All files are compared with the checksums of the model's card. Then rest that is simulated
from a seed is put through the model: the prepared network must equal torch's (where torch is
installed), maps be finite, and contrasts of a difference have the sign of their parts. fetch
does the same at its end.

exit codes: 0 whole, and all checks passed; 2 damaged, or a check failed.
"""
_CONVERT_EPILOG = f"""\
example, for the published HCP-YA model:
  dtg-models convert main_model_hcp-ya_010525.ckpt ~/.cache/bids_dtg/models/hcp-ya \\
    --name hcp-ya --maps melodic_IC_MNI_2mm.nii.gz \\
    --brain-mask MNI_2mm_brain_mask.nii --mask MNI_2mm_GM_mask_crop.nii
{_TERMS}"""
# Facts that the program takes from the published models where they are not given.
_ASSUMED: dict[str, Any] = {
    "space": "MNI152NLin6Asym",
    "resolution": "2",
    "segment_seconds": 432.0,
}


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    parser = Parser(prog="dtg-models", description="Fetch, list, verify and convert models.")
    parser.add_version()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
        added: Parser = commands.add_parser(
            name,
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_verbose()
        return added

    metavar, which = "PATH|NAME", "a bundle's folder, or an installed name"
    command("list", "list the models that --model finds by name, and the published ones")
    fetch = command("fetch", "fetch published models", _FETCH_EPILOG)
    fetch.add_argument("models", nargs="+", metavar="NAME", help="hcp-ya, hcp-d or ukb")
    fetch.add_argument(
        "--into", type=Path, metavar="FOLDER", help="folder of models (default: the user's cache)"
    )
    verify = command(
        "verify", "compare models with their cards, and check their maps", _VERIFY_EPILOG
    )
    verify.add_argument("models", nargs="*", metavar=metavar, help=f"{which} (default: all)")
    info = command("info", "show the card of a model")
    info.add_argument("model", metavar=metavar, help=which)
    _add_convert_options(
        command("convert", "make a bundle from a checkpoint, ROI maps and masks", _CONVERT_EPILOG)
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-models`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    commands = {
        "list": _list,
        "fetch": _fetch,
        "verify": _verify,
        "info": _info,
        "convert": _convert,
    }

    def action() -> int:
        commands[arguments.command](arguments)
        return 0

    left = "a broken download is resumed the next time, nothing else is left"
    return call("dtg-models", action, debug=arguments.verbose > 1, interrupted=left)


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
    for flag, words in (
        ("--maps", "4-D NIfTI, one volume a ROI"),
        ("--brain-mask", "where ROI series are made"),
        ("--mask", "grey matter; defines the grid"),
    ):
        inputs.add_argument(flag, type=Path, required=True, metavar="FILE", help=words)
    inputs.add_argument(
        "--contrasts",
        type=Path,
        metavar="FILE",
        help="table with a column label, one line an output (default: the 47 HCP-YA contrasts)",
    )
    card = parser.add_argument_group("what the model card says")
    card.add_argument("--name", required=True, help="the model's name")
    for flag, metavar, words in (
        ("--model-version", "TEXT", "(default: 1)"),
        ("--space", "SPACE", "(default: MNI152NLin6Asym)"),
        ("--resolution", "LABEL", "of res- (default: 2)"),
        ("--licence", "TEXT", "terms of use"),
        ("--citation", "TEXT", "what users should cite"),
        ("--description", "TEXT", "one line in plain words"),
        ("--training-data", "TEXT", "its data set"),
        ("--training-cleaning", "TEXT", "in words"),
        ("--notice", "TEXT", "a line that users see at each use"),
    ):
        card.add_argument(flag, metavar=metavar, help=words)
    card.add_argument("--training-participants", type=int, metavar="N", help="how many people")
    for flag, words in (
        ("--training-tr", "seconds a frame"),
        ("--segment-seconds", "rest in one training sample (default: 432)"),
    ):
        card.add_argument(flag, type=_seconds, metavar="SECONDS", help=words)
    card.add_argument(
        "--not-for-science", action="store_true", help="mark every output; needs --notice"
    )


def _list(_arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.overview import model_lines
    from bids_dtg.bundles.store import model_folders

    _print(model_lines())
    show("looked in:")
    for folder, origin in model_folders().items():
        show(f"  {folder} ({origin}{'' if folder.is_dir() else ', absent'})")


def _fetch(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.fetch import fetch_models
    from bids_dtg.bundles.kinds import all_published
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

    damaged, whole = [], []
    for model in arguments.models or [model.path for model in installed_models()]:
        try:
            bundle = load_any_bundle(model)
            bundle.check_weights()
        except BundleError as err:
            show(f"{model}: {err}")
            damaged.append(str(model))
        else:
            show(f"{model}: whole, {bundle.card.name} {bundle.card.version}, {bundle.identity}")
            whole.append(bundle)
    _check(whole)
    if damaged:
        raise BundleError(f"{len(damaged)} cannot be used: {', '.join(damaged)}")


def _check(bundles: Iterable[Bundle[Any]]) -> None:
    """Check models by simulated rest, print what was found, and refuse the first that failed."""
    from bids_dtg.bundles.kinds import all_kinds
    from bids_dtg.bundles.overview import selftest_lines

    kinds, failed = all_kinds(), []
    for bundle in bundles:
        checks = kinds[bundle.card.kind].selftest(bundle)
        _print(selftest_lines(bundle, checks))
        failed += [(bundle, check) for check in checks if check.passed is False]
    if failed:
        bundle, check = failed[0]
        raise BundleError(
            f"{bundle.path} failed its self-check: {check.name}: {check.words}",
            remedy="do not use its maps; fetch or make the model again, and report it where it "
            "fails again",
        )


def _info(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_any_bundle
    from bids_dtg.bundles.kinds import all_kinds
    from bids_dtg.bundles.overview import bundle_lines

    bundle = load_any_bundle(arguments.model)
    bundle.check_weights()
    _print(bundle_lines(bundle))
    _print(all_kinds()[bundle.card.kind].tables(bundle))


def _convert(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.card import ModelCard, TrainingData
    from bids_dtg.bundles.overview import bundle_lines
    from bids_dtg.contrasts.bundle.convert import convert_checkpoint, read_contrasts
    from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
    from bids_dtg.contrasts.bundle.part import MapsPart

    given = {name: value for name, value in vars(arguments).items() if value is not None}
    taken = {**_ASSUMED, **given}
    contrasts = read_contrasts(arguments.contrasts) if arguments.contrasts else ()
    card = ModelCard(
        name=arguments.name,
        version=given.get("model_version", "1"),
        kind=ATTENTION_UNET.name,
        part=MapsPart(contrasts, segment_seconds=taken["segment_seconds"]),
        licence=given.get("licence", "unknown"),
        citation=given.get("citation", ""),
        description=given.get("description", ""),
        training=TrainingData(
            data=given.get("training_data", "unknown"),
            repetition_time_s=arguments.training_tr,
            cleaning=given.get("training_cleaning", "unknown"),
            participants=arguments.training_participants,
        ),
        for_science=not arguments.not_for_science,
        notice=given.get("notice", ""),
        sources=_sources(given),
    )
    bundle = convert_checkpoint(
        arguments.checkpoint,
        arguments.out,
        card,
        maps=arguments.maps,
        brain_mask=arguments.brain_mask,
        mask=arguments.mask,
        space=taken["space"],
        resolution=taken["resolution"] or None,
    )
    _print(bundle_lines(bundle))
    show(f"use it with: bids_dtg BIDS_DIR OUTPUT_DIR participant --model {bundle.path}")


def _sources(given: dict[str, Any]) -> dict[str, str]:
    """Return which facts were given, and which the program takes from the published models."""
    of_training = {
        "training_data": "training.data",
        "training_tr": "training.repetition_time_s",
        "training_cleaning": "training.cleaning",
        "training_participants": "training.participants",
    }
    stated = {name: name for name in ("licence", "citation", "description")} | of_training
    assumed = {
        "grid": {"space", "resolution"} <= given.keys(),
        "segment_seconds": "segment_seconds" in given,
        "contrasts": "contrasts" in given,
    }
    # Of what was not given there is nothing, but for what has a default.
    known = {name: "stated" for option, name in stated.items() if option in given}
    return known | {name: "stated" if here else "inferred" for name, here in assumed.items()}


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        show(line)


if __name__ == "__main__":
    run()
