"""The kinds of inputs that are made by chance: what each changes, and what reads it."""

from __future__ import annotations

import json
import random

from attacks import mutators
from attacks.cases.bundles import CARD, PARTS, packed, signed, tensors
from attacks.fixtures import SHARES
from attacks.group_inputs import GROUP_KINDS
from attacks.kind import Kind, Make, plan, program
from attacks.scene import Scene, put


def measured(scene: Scene) -> int:
    """Find the runs of participant 01, and reduce the first to its connectome."""
    from bids_dtg import Settings, find_runs, load_bundle, measure
    from bids_dtg.settings.toml import make_settings  # noqa: F401 (imported before the fork)

    more = {}
    if "--custom-confounds" in scene.options:
        more["custom_confounds"] = scene.place / "custom.tsv"
    settings = Settings.of(
        bids_dir=scene.bids,
        output_dir=scene.out,
        analysis_level="participant",
        model=str(scene.model),
        omp_nthreads=1,
        participant_label=("01",),
        **more,
    )
    run = find_runs(settings)[0]
    measure(run, load_bundle(scene.model), settings.cleaning, input_type="fmriprep")
    return 0


def verified(scene: Scene) -> int:
    """Have the model verified."""
    scene.program, scene.arguments = "dtg-models", ["verify", str(scene.model)]
    return program(scene)


def trained_plan(scene: Scene) -> int:
    """Have the plan of a training printed."""
    scene.level = "group"
    scene.options += ["-d", f"fmriprep={scene.bids}", "-d", f"statmaps={scene.statmaps}"]
    scene.options += ["--analysis", "train", "--architecture", "linear", *SHARES]
    return plan(scene)


# What is changed.


def own_json(name: str) -> Make:
    def make(rng: random.Random, scene: Scene) -> None:
        put(scene[name], mutators.some_json(rng, json.loads(scene[name].read_text())))

    return make


def inherited(rng: random.Random, scene: Scene) -> None:
    facts = {"RepetitionTime": 10.0, "SkullStripped": True, "SliceTiming": [0.0, 1.0]}
    name = rng.choice(("task-rest_bold.json", "task-rest_desc-preproc_bold.json", "bold.json"))
    put(scene.bids / name, mutators.some_json(rng, facts))


def image(name: str) -> Make:
    def make(rng: random.Random, scene: Scene) -> None:
        put(scene[name], mutators.some_image(rng, scene[name].read_bytes()))

    return make


def header(rng: random.Random, scene: Scene) -> None:
    import gzip

    raw = gzip.decompress(scene["bold"].read_bytes())
    put(scene["bold"], gzip.compress(mutators.some_header(rng, raw), 1))


def stream(rng: random.Random, scene: Scene) -> None:
    put(scene["bold"], mutators.some_bytes(rng, scene["bold"].read_bytes()))


def confounds(rng: random.Random, scene: Scene) -> None:
    put(scene["confounds"], mutators.some_table(rng, scene["confounds"].read_text()))


def custom(rng: random.Random, scene: Scene) -> None:
    text = "a\tb\n" + "".join(f"{n}\t{n * n % 7}\n" for n in range(60))
    path = put(scene.place / "custom.tsv", mutators.some_table(rng, text))
    scene.options += ["--custom-confounds", str(path)]


def atlas(rng: random.Random, scene: Scene) -> None:
    path = scene.place / "atlas-A_space-MNI152NLin6Asym_dseg.nii.gz"
    put(path, mutators.some_image(rng, scene["mask"].read_bytes()))
    scene.options += ["--atlases", str(path)]


FILTER = {"bold": {"acquisition": "mb", "run": [1, 2], "session": None, "task": "rest"}}


def filters(rng: random.Random, scene: Scene) -> None:
    path = put(scene.place / "filter.json", mutators.some_json(rng, FILTER))
    scene.options += ["--bids-filter-file", str(path)]


OPTIONS = """\
participant_label = ["01", "02"]
task_id = ["rest"]
run = ["1"]
fd_threshold = 0.5
denoise_strategy = "scrubbing"
gsr = true
min_minutes = 4.0
combine = "run"
nprocs = 1
omp_nthreads = 1
seed = 3
smoothing_fwhm = 4.0
"""


def configuration(rng: random.Random, scene: Scene) -> None:
    path = put(scene.place / "configuration.toml", mutators.some_text(rng, OPTIONS))
    scene.options += ["--config-file", str(path)]


# Options whose effects go outside a scene, or that take a machine's resources by intent.
_NOT_BY_CHANCE = {"scheduler", "nprocs", "omp_nthreads", "debug"}


def words(rng: random.Random, scene: Scene) -> None:
    from bids_dtg.settings import OPTIONS as TABLE

    names = sorted(name for name in TABLE if name not in _NOT_BY_CHANCE)
    for name in rng.sample(names, rng.choice((1, 1, 2, 4))):
        given = [mutators.word(rng).replace("\0", "\\0") for _ in range(rng.choice((0, 1, 1, 2)))]
        scene.options += ["--" + name.replace("_", "-"), *given]


def card(rng: random.Random, scene: Scene) -> None:
    path = scene.model / CARD
    put(path, mutators.some_json(rng, json.loads(path.read_text())))


def weights(rng: random.Random, scene: Scene) -> None:
    path = scene.model / "weights.safetensors"
    content = path.read_bytes()
    if rng.random() < 0.6:
        head, data = tensors(content)
        changed = mutators.some_json(rng, head)
        put(path, packed(changed, mutators.some_bytes(rng, data) if rng.random() < 0.3 else data))
    else:
        put(path, mutators.some_bytes(rng, content))
    signed(scene.model)


def bundle_part(rng: random.Random, scene: Scene) -> None:
    path = scene.model / rng.choice(PARTS[1:])
    put(path, mutators.some_image(rng, path.read_bytes()))
    if rng.random() < 0.8:
        signed(scene.model)


def transform(rng: random.Random, scene: Scene) -> None:
    path = rng.choice(sorted((scene.bids / "sub-01").rglob("*_xfm.txt")))
    put(path, mutators.some_text(rng, path.read_text()))


LABELS = [f"sub-{number:02d}" for number in range(1, 9)]


def families(rng: random.Random, scene: Scene) -> None:
    tab = rng.choice(("\t", "\t", ","))
    rows = ["participant_id", "age", "family_id"], *((x, "30", x[-1]) for x in LABELS)
    text = "".join(tab.join(row) + "\n" for row in rows)
    name = "participants.csv" if tab == "," else "participants.tsv"
    put(scene.bids / name, mutators.some_table(rng, text, tab))


def splits(rng: random.Random, scene: Scene) -> None:
    sides = ["training"] * 6 + ["test"] * 2
    text = "participant_id\tset\n"
    text += "".join(f"{x}\t{side}\n" for x, side in zip(LABELS, sides, strict=True))
    path = put(scene.place / "split.tsv", mutators.some_table(rng, text))
    scene.options += ["--split-file", str(path)]


def records(rng: random.Random, scene: Scene) -> None:
    path = rng.choice(sorted((scene.out / "logs/complete").glob("sub-01*.json")))
    put(path, mutators.some_json(rng, json.loads(path.read_text())))


def earlier(rng: random.Random, scene: Scene) -> None:
    """Change what an earlier call has written of participant 01, or of all."""
    paths = sorted((scene.out / "sub-01").rglob("*.*"))
    paths += [scene.out / name for name in ("dataset_description.json", "participants.tsv")]
    path = rng.choice(paths)
    content = path.read_bytes()
    if path.suffix == ".json":
        put(path, mutators.some_json(rng, json.loads(content)))
    elif path.suffix == ".tsv":
        put(path, mutators.some_table(rng, content.decode()))
    elif path.suffix == ".gz":
        put(path, mutators.some_image(rng, content))
    else:
        put(path, mutators.some_bytes(rng, content))


def group(rng: random.Random, scene: Scene) -> None:
    earlier(rng, scene)
    scene.level = "group"


KINDS: dict[str, Kind] = {
    "sidecar": Kind(own_json("sidecar"), measured),
    "inherited": Kind(inherited, measured, 6),
    "description": Kind(own_json("description"), plan, 6),
    "header": Kind(header, measured, 14),
    "stream": Kind(stream, measured, 10),
    "image": Kind(image("bold"), measured, 8),
    "mask": Kind(image("mask"), measured),
    "confounds": Kind(confounds, measured, 14),
    "custom": Kind(custom, measured, 6),
    "atlas": Kind(atlas, plan, 6),
    "filter": Kind(filters, plan, 4),
    "configuration": Kind(configuration, plan, 8),
    "words": Kind(words, plan, 12, whole=0.15),
    "card": Kind(card, verified, 10),
    "weights": Kind(weights, verified, 10),
    "part": Kind(bundle_part, verified, 6),
    "transform": Kind(transform, measured, 10, fixture="native"),
    "families": Kind(families, trained_plan, 6, fixture="cohort", whole=0.0),
    "splits": Kind(splits, trained_plan, 6, fixture="cohort", whole=0.0),
    "record": Kind(records, program, 3, fixture="earlier", whole=1.0),
    "earlier": Kind(earlier, program, 3, fixture="earlier", whole=1.0),
    "group": Kind(group, program, 2, fixture="earlier", whole=1.0),
    **GROUP_KINDS,
}


def choose(seed: int, index: int) -> tuple[str, bool, random.Random]:
    """Return the kind of an input, whether a whole call reads it, and what makes the rest of it."""
    rng = random.Random(f"{seed}-{index}")
    names = sorted(KINDS)
    (name,) = rng.choices(names, [KINDS[name].weight for name in names])
    return name, rng.random() < KINDS[name].whole, rng
