"""The command `dtg-models`: list, inspect and convert model bundles.

Exit codes: 0 done; 1 the bundle cannot be written; 2 wrong arguments, model or
checkpoint; 70 internal error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bids_dtg import __version__
from bids_dtg.errors import BundleError
from bids_dtg.exits import Parser, call

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import ModelBundle

_EPILOG = """\
example, for the published HCP-YA model:
  dtg-models convert main_model_hcp-ya_010525.ckpt ~/.cache/bids_dtg/models/hcp-ya \\
    --name hcp-ya --maps melodic_IC_MNI_2mm.nii.gz \\
    --brain-mask MNI_2mm_brain_mask.nii --mask MNI_2mm_GM_mask_crop.nii
The published models were trained on HCP data: their use is under HCP's data-use terms.
"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported for it."""
    common = Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser = Parser(
        prog="dtg-models", description="List, inspect and convert the models of bids_dtg."
    )
    parser.add_argument("--version", action="version", version=f"bids_dtg {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", parents=[common], help="list the models that --model finds by name")
    info = commands.add_parser("info", parents=[common], help="verify a model and show its card")
    info.add_argument("model", metavar="PATH|NAME", help="folder of a bundle, or an installed name")
    convert = commands.add_parser(
        "convert",
        parents=[common],
        help="make a bundle from a published checkpoint, ROI maps and masks",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_convert_options(convert)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dtg-models`` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    commands = {"list": _list, "info": _info, "convert": _convert}

    def action() -> int:
        commands[arguments.command](arguments)
        return 0

    return call("dtg-models", action, debug=arguments.debug, interrupted="nothing was written")


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
    card.add_argument("--space", default="MNI152NLin6Asym", help="(default: MNI152NLin6Asym)")
    card.add_argument("--resolution", default="2", metavar="LABEL", help="of res- (default: 2)")
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
        default=432.0,
        metavar="SECONDS",
        help="rest in one training sample (default: 432)",
    )
    card.add_argument(
        "--notice", default="", metavar="TEXT", help="what users are told at each use"
    )
    card.add_argument(
        "--not-for-science", action="store_true", help="mark every output; needs --notice"
    )


def _list(_arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.card import read_card
    from bids_dtg.bundles.store import installed_models, model_folders

    rows = [("NAME", "VERSION", "KIND", "CONTRASTS", "FOLDER")]
    for model in installed_models():
        try:
            card, _ = read_card(model.path)
            facts = (card.version, card.kind, str(len(card.contrasts)))
        except BundleError:
            facts = ("?", "damaged: see dtg-models info", "?")
        hidden = f" (not used: {model.shadowed_by} comes first)" if model.shadowed_by else ""
        rows.append((model.name, *facts, f"{model.path}{hidden}"))
    if len(rows) > 1:
        _print_table(rows)
    else:
        print("no model is installed; make one with dtg-models convert")
    print("looked in:")
    for folder in model_folders():
        absent = "" if folder.path.is_dir() else ", absent"
        print(f"  {folder.path} ({folder.origin}{absent})")


def _info(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.bundle import load_bundle
    from bids_dtg.bundles.evaluation import score_table

    bundle = load_bundle(arguments.model)
    bundle.network()  # the weights are whole, too
    _print_bundle(bundle)
    _print_table(
        [
            ("INDEX", "LABEL", "DESCRIPTION"),
            *((str(c.index), c.label, c.description) for c in bundle.contrasts),
        ]
    )
    if scores := score_table(bundle.card.evaluation):
        evaluation = bundle.card.evaluation or {}
        print(f"\nscores on {evaluation.get('participants', 'some')} people not trained on")
        _print_table(scores)
        print(" ".join(str(evaluation.get("conventions", "")).split()))


def _convert(arguments: argparse.Namespace) -> None:
    from bids_dtg.bundles.card import TrainingData
    from bids_dtg.bundles.convert import convert_checkpoint, read_contrasts

    bundle = convert_checkpoint(
        arguments.checkpoint,
        arguments.maps,
        arguments.brain_mask,
        arguments.mask,
        arguments.out,
        name=arguments.name,
        contrasts=read_contrasts(arguments.contrasts) if arguments.contrasts else None,
        space=arguments.space,
        resolution=arguments.resolution or None,
        version=arguments.model_version,
        licence=arguments.licence,
        citation=arguments.citation,
        description=arguments.description,
        training=TrainingData(
            data=arguments.training_data,
            repetition_time_s=arguments.training_tr,
            cleaning=arguments.training_cleaning,
            participants=arguments.training_participants,
        ),
        segment_seconds=arguments.segment_seconds,
        for_science=not arguments.not_for_science,
        notice=arguments.notice,
    )
    _print_bundle(bundle)
    print(f"use it with: bids_dtg BIDS_DIR OUTPUT_DIR participant --model {bundle.path}")


def _print_bundle(bundle: ModelBundle) -> None:
    card, training = bundle.card, bundle.card.training
    sizes = " x ".join(str(size) for size in bundle.grid.shape)
    facts = [
        ("model", f"{card.name}, version {card.version} ({card.kind})"),
        ("folder", str(bundle.path)),
        ("SHA-256", bundle.identity),
        ("description", card.description),
        ("licence", card.licence),
        ("citation", card.citation),
        ("notice", card.notice if card.for_science else f"NOT FOR SCIENCE: {card.notice}"),
        ("trained on", _training_line(training.data, training.participants)),
        ("cleaning", training.cleaning),
        ("frame", f"{training.repetition_time_s:g} s" if training.repetition_time_s else ""),
        ("segment", f"{card.segment_seconds:g} s"),
        ("grid", f"{sizes} voxels, {bundle.grid.space}, res-{bundle.grid.resolution or 'none'}"),
        ("brain mask", f"{int(bundle.brain_mask.sum())} voxels"),
        ("mask", f"{int(bundle.mask.sum())} voxels"),
        ("ROIs", f"{len(bundle.roi_maps)}, series by {card.roi_series}"),
        ("contrasts", f"{len(bundle.contrasts)} ({card.statistic} maps)"),
    ]
    for name, text in facts:
        if text:
            print(f"{name:<12}{' '.join(text.split())}")


def _training_line(data: str, participants: int | None) -> str:
    return f"{data}, {participants} participants" if participants else data


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print columns aligned by spaces, on a terminal as in a pipe."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
