"""What training of a linear core takes by the number of people.

    OMP_NUM_THREADS=1 python studies/linear_crowd.py --work FOLDER

Series of 34 regions over 1,200 frames, made by chance, from one file of everybody. Peak memory is
that of the program without the file's cache of the system.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from linear_real_run import COMMON, call, write_people

REGIONS, FRAMES, TR_SECONDS = 34, 1200, 0.72


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    names = tuple(f"region{number}" for number in range(REGIONS))
    print("| call | CPU s | peak MB |\n|---|---|---|")
    for people in options.people:
        made = options.work / f"people{people}"
        write_people(made, names, TR_SECONDS, people=people, frames=FRAMES)
        file = made / "rest.npz"
        words = f"{COMMON} --analysis train --data-set made --input-arrays {file}"
        title = f"training, {people} people, a file of {file.stat().st_size / 1e6:.0f} MB"
        call(title, [made, options.work / f"core{people}", "group"], words)


if __name__ == "__main__":
    main()
