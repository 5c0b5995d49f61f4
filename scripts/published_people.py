"""Write the hashes of the training people of the published models.

    python scripts/published_people.py --paper deeptaskgen-paper

reads the lists of IDs in a clone of https://github.com/eminSerin/deeptaskgen-paper and writes
`bids_dtg/contrasts/bundle/published_people.json`. The file has no IDs, but a short ID can be found
from its hash by trying all IDs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bids_dtg.bundles.training_hashes import UNCERTAIN, TrainingHashes, hash_person

FOLDER = Path(__file__).parent.parent / "bids_dtg" / "contrasts" / "bundle"
OUT = FOLDER / "published_people.json"
# Folder of the lists, and the beginning of their names.
LISTS = {
    "HCP-YA": "experiments/training/data/hcp",
    "HCP-D": "experiments/transfer_learning/hcp_development/data/hcpd",
}
SETS = {"training": "train", "validation": "val", "test": "test"}
# It is not certain whether the released weights were finally trained on the test people, too.
PERHAPS = {"HCP-YA": "test"}


def main() -> None:
    """Read the lists and write the hashes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--paper", type=Path, required=True, help="clone of the repository"
    )
    args = parser.parse_args()
    people_of_lists = {
        name: read_lists(args.paper / begin, name) for name, begin in LISTS.items()
    }
    content = {
        name: json.loads(people.encode()) for name, people in people_of_lists.items()
    }
    OUT.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    for name, people in people_of_lists.items():
        print(name, {key: len(listed) for key, listed in people.sets.items()})


def read_lists(begin: Path, data_set: str) -> TrainingHashes:
    """Read a data set's lists, whose names begin with `begin`."""
    sets = {
        name: tuple(
            (hash_person(data_set, label),)
            for label in Path(f"{begin}_{end}_ids.txt").read_text().split()
        )
        for name, end in SETS.items()
    }
    if data_set in PERHAPS:
        sets[UNCERTAIN] = sets[PERHAPS[data_set]]
    return TrainingHashes(sets, by_content=False)


if __name__ == "__main__":
    main()
