"""The published models: their source files and the content of their cards.

Facts from Serin et al. 2025 (Communications Biology) and its public repositories. Each
file is pinned by commit and by git's id of its content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.people import ModelPeople
from bids_dtg.bundles.published import PublishedModel
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import SESSION, MapsPart
from bids_dtg.files.download import FetchedFile, PinnedFile
from bids_dtg.files.text import read_packaged

if TYPE_CHECKING:
    from bids_dtg.contrasts.bundle.bundle import ModelBundle

_MODELS = ("eminSerin/deeptaskgen-models", "64cf419273251cfd63675b680df37f25b02600cb")
_PAPER = ("eminSerin/deeptaskgen-paper", "713838f0db66a032aec4d014955e465afef13e00")
_TEMPLATES = "experiments/utils/templates/"

SERIN = (
    "Serin et al. (2025). Generating synthetic task-based brain fingerprints for population "
    "neuroscience using deep learning. Communications Biology 8, 1572. "
    "https://doi.org/10.1038/s42003-025-09158-6"
)
_HCP_TERMS = (
    "Trained on data of the Human Connectome Project: its use is under HCP's data-use terms, "
    "https://www.humanconnectome.org/study/hcp-young-adult/data-use-terms"
)
_FINE_TUNED = (
    "Attention U-Net trained on HCP-YA, its backbone fine-tuned on faces against shapes of {}; "
    "predicts the 47 HCP-YA contrasts."
)
_STATED, _INFERRED = "stated", "inferred"
# The weights have no licence of their own: the repositories' is taken. The scripts train on 827
# people, then on everybody; nothing says from which of both the released files are.
_SOURCES = {
    "licence": _INFERRED,
    "citation": _STATED,
    "description": _STATED,
    "training.data": _STATED,
    "training.participants": _INFERRED,
    "training.repetition_time_s": _STATED,
    "training.cleaning": _STATED,
    "segment_seconds": _STATED,
}
_UNLISTED = "5 of the 39 test people of HCP-YA"
# UK Biobank gives each research project ids of its own.
_UNLISTED_UKB = "the people of UK Biobank, whose ids differ from project to project"


_MAPS = PinnedFile.in_repository(
    *_PAPER,
    _TEMPLATES + "melodic_IC_MNI_2mm.nii.gz",
    blob_id="68d1d8b0ff376ed69b995446b7637328e33d5a3f",
)
_BRAIN_MASK = PinnedFile.in_repository(
    *_PAPER,
    _TEMPLATES + "MNI_2mm_brain_mask.nii",
    blob_id="0e8a903882c4e3b2ab2ea38327e254a940fd3146",
    size=902_981,
)
_GREY_MATTER = PinnedFile.in_repository(
    *_MODELS,
    "misc/MNI_2mm_GM_mask_crop.nii",
    blob_id="895e951e645535de4481aa42ca31ef3c3b9505e0",
    size=4_410_784,
)


# Hashes of the ids of training people, from lists that the makers have published; made by
# `scripts/published_people.py`.
_PEOPLE = "published_people.json"
# Ids of a published data set, with the additions of other studies.
_IDS = {
    "HCP-YA": re.compile(r"(?:HCP)?(\d{6})(?:MR|V1MR)?", re.IGNORECASE),
    "HCP-D": re.compile(r"(HCD\d{7})(?:V1MR)?", re.IGNORECASE),
}
# Names of these data sets, in letters and digits.
_NAMES = {
    "HCP-YA": ("hcpya", "hcpyoungadult", "hcp1200", "hcps1200", "hcp"),
    "HCP-D": ("hcpd", "hcpdevelopment", "hcplifespandevelopment"),
}


@dataclass(frozen=True, kw_only=True)
class PublishedMaps(PublishedModel["ModelBundle"]):
    """A published model of contrast maps."""

    outputs: str = "47 contrasts"
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    checkpoint: PinnedFile  # Lightning checkpoint
    maps: PinnedFile = _MAPS  # group-ICA maps, 4-D
    brain_mask: PinnedFile = _BRAIN_MASK  # where the ROI series are computed
    mask: PinnedFile = _GREY_MATTER  # defines the grid
    data_sets: tuple[str, ...]  # published lists of the people it was made with
    unlisted: tuple[str, ...] = (_UNLISTED,)  # further people used to make it, in words

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """All source files of the bundle, small ones first."""
        return (self.brain_mask, self.mask, self.checkpoint, self.maps)

    @property
    def people(self) -> ModelPeople:
        """The people that it was made with, as far as they are published."""
        seen = ModelPeople({}, self.unlisted)
        for name in self.data_sets:
            seen = seen.joined(_lists()[name])
        return seen

    def convert(
        self,
        files: Mapping[PinnedFile, FetchedFile],
        folder: Path,
        note: Callable[[str], None],
    ) -> ModelBundle:
        """Make the bundle from the fetched files."""
        from bids_dtg.contrasts.bundle.convert import convert_checkpoint

        note(f"converting {self.checkpoint.name}")
        record = {"published_files": [_entry(file, files[file]) for file in self.files]}
        card = replace(self.card, record=record)
        return convert_checkpoint(
            files[self.checkpoint].path,
            folder,
            card,
            maps=files[self.maps].path,
            brain_mask=files[self.brain_mask].path,
            mask=files[self.mask].path,
            people=self.people,
        )


def _entry(file: PinnedFile, fetched: FetchedFile) -> dict[str, Any]:
    """Return what the card records of an input file."""
    return {
        "location": file.location,
        "algorithm": file.digest.algorithm,
        "digest": file.digest.hexadecimal,
        "sha256": fetched.sha256,
        "size": fetched.path.stat().st_size,
    }


_FACTS = partial(
    ModelCard[MapsPart],
    version="010525",
    kind=ATTENTION_UNET.name,
    licence="GPL-3.0 (published weights)",
    citation=SERIN,
)
_HCP_YA = PublishedMaps(
    card=_FACTS(
        name="hcp-ya",
        part=MapsPart((), segment_seconds=432.0),
        description="Attention U-Net that predicts the 47 HCP-YA contrasts.",
        notice=f"{_HCP_TERMS}.",
        training=TrainingData(
            data="HCP Young Adult, 4 runs of 14.4 minutes a person",
            repetition_time_s=0.72,
            cleaning="HCP minimal preprocessing and ICA-FIX",
            participants=958,
        ),
        sources=_SOURCES,
    ),
    checkpoint=PinnedFile.in_repository(
        *_MODELS,
        "hcp-ya/main_model_hcp-ya_010525.ckpt",
        blob_id="f959b675221476bc05cdbeb5055605cd63401ddb",
    ),
    data_sets=("HCP-YA",),
)
_HCP_D = PublishedMaps(
    card=_FACTS(
        name="hcp-d",
        # A person's runs form one sample: 4 of 488 frames in the protocol of HCP Development.
        part=MapsPart((), segment_seconds=1561.6, sample=SESSION),
        description=_FINE_TUNED.format("HCP Development"),
        notice=f"{_HCP_TERMS}; fine-tuned on HCP Development, which has terms of its own.",
        training=TrainingData(
            data="HCP Young Adult (958 participants), fine-tuned on HCP Development",
            repetition_time_s=0.8,
            cleaning="HCP minimal preprocessing and multi-run ICA-FIX",
        ),
        # The scripts tune two models on two contrasts; frame and length are the protocol's.
        sources=_SOURCES
        | dict.fromkeys(
            ("description", "training.data", "training.repetition_time_s", "segment_seconds"),
            _INFERRED,
        ),
    ),
    checkpoint=PinnedFile.in_repository(
        *_MODELS,
        "hcp-d/finetuned_model_hcp-d_010525.ckpt",
        blob_id="868ad5af11b2cb3b024a358ea46ae5b2008fd7b0",
    ),
    data_sets=("HCP-YA", "HCP-D"),
)
_UKB = PublishedMaps(
    card=_FACTS(
        name="ukb",
        # One run of 490 frames is one sample.
        part=MapsPart((), segment_seconds=360.15),
        description=_FINE_TUNED.format("UK Biobank"),
        notice=f"{_HCP_TERMS}; fine-tuned on UK Biobank, which has terms of its own.",
        training=TrainingData(
            data="HCP Young Adult (958 participants), fine-tuned on UK Biobank",
            repetition_time_s=0.735,
            cleaning="UK Biobank's preprocessing with FIX, warped to standard space",
        ),
        sources=_SOURCES | {"training.data": _INFERRED},
    ),
    checkpoint=PinnedFile.in_repository(
        *_MODELS,
        "ukb/finetuned_model_ukb_010525.ckpt",
        blob_id="49624dbb352404ec3a55c51760046ce7e3ceed13",
    ),
    data_sets=("HCP-YA",),
    unlisted=(_UNLISTED, _UNLISTED_UKB),
)

PUBLISHED: Mapping[str, PublishedMaps] = {model.name: model for model in (_HCP_YA, _HCP_D, _UKB)}


def canonical_name(data_set: str) -> str | None:
    """Return a data set's name in the lists; None: it is not one of them.

    Examples
    --------
    >>> canonical_name("HCP Young Adult"), canonical_name("My study")
    ('HCP-YA', None)
    """
    plain = "".join(letter for letter in data_set.casefold() if letter.isalnum())
    return next((name for name, known in _NAMES.items() if plain in known), None)


def published_id(data_set: str, label: str) -> str | None:
    """Return the id of a label in a published data set; None: it has another form.

    Examples
    --------
    >>> published_id("HCP-D", "HCD0000000V1MR"), published_id("HCP-YA", "01")
    ('HCD0000000', None)
    """
    found = _IDS[data_set].fullmatch(label)
    return found and found[1].upper()


def published_names(label: str) -> tuple[str, ...]:
    """Return the published data sets whose ids have the form of a label."""
    return tuple(name for name in _IDS if published_id(name, label))


@cache
def _lists() -> dict[str, ModelPeople]:
    fields = JsonFields.parse(read_packaged("bids_dtg.contrasts.bundle", _PEOPLE), _PEOPLE)
    return {name: ModelPeople.of(fields.nested(name)) for name in fields.items()}
