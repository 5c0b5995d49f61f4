"""Options on training, fine-tuning and evaluating models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_dtg.settings.option import option

Analysis = Literal["train", "finetune", "evaluate", "calibrate"]
Recipe = Literal["default", "published"]


@dataclass(frozen=True)
class ModellingOptions:
    """How models are made and evaluated."""

    analysis: Analysis | None = option(
        "modelling",
        "at the group level: train a model on participants' rest and measured maps "
        "(--derivatives statmaps=PATH), finetune --model on them, evaluate its maps against them, "
        "or calibrate its uncertainty",
        default=None,
        shown_default="none: the table and page of all participants",
    )
    architecture: str = option("modelling", "what to train", default="blend")
    recipe: Recipe = option(
        "modelling",
        "how the network is trained; default: mean squared error, re-centred, with a gain a "
        "contrast; published: the CR-R loss, as it comes out",
        default="default",
    )
    schedule: Literal["known", "new"] = option(
        "modelling",
        "how finetune learns; known: one contrast of the model, its output row frozen; "
        "new: contrasts that the model lacks, with an output layer of their own",
        default="known",
    )
    contrast: tuple[str, ...] = option(
        "modelling",
        "contrasts to work on, by their labels",
        default=(),
        metavar="LABEL",
        shown_default="all that the measured maps have",
    )
    model_name: str = option(
        "modelling", "name of the model that is made", default="own", metavar="NAME"
    )
    split_file: Path | None = option(
        "modelling",
        "table with the columns participant_id and set (training, validation, test)",
        default=None,
        metavar="TSV",
        shown_default="drawn at random, families together",
    )
    held_out: tuple[str, ...] = option(
        "modelling",
        "shares of the participants for validation and for test",
        default=("0.1", "0.1"),
        metavar="SHARE",
    )
    add_sums: tuple[str, ...] = option(
        "modelling",
        "sums of local ridge from other sites, to be added to one's own",
        default=(),
        metavar="FILE",
    )
    epochs: int = option("modelling", "epochs of the network, at most", default=100, metavar="N")
    batch_size: int = option("modelling", "participants in a batch", default=10, metavar="N")
    batch_part: int | None = option(
        "modelling",
        "participants of a batch that go through the network at once; the loss is of all",
        default=None,
        metavar="N",
        shown_default="the whole batch",
    )
    gpus: int = option(
        "modelling",
        "GPUs of this machine that train the network together, each on its share of a batch",
        default=1,
        metavar="N",
    )
    features: int = option(
        "modelling", "channels of the network's first level", default=64, metavar="N"
    )
    learning_rate: float = option(
        "modelling", "rate of Adam at the start", default=1e-3, metavar="RATE"
    )
    choose_by: Literal["loss", "r", "residual_r", "diagonality"] | None = option(
        "modelling",
        "what the network's best epoch is chosen by, on the validation participants",
        default=None,
        shown_default="residual_r; with --recipe published r",
    )
    stop_after: int | None = option(
        "modelling",
        "epochs without a better one before training ends",
        default=None,
        metavar="N",
        shown_default="never",
    )
    seed: int = option("modelling", "of the split, the weights and the batches", default=0)
