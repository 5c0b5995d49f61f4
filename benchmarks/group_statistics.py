"""Measure processor time and memory of the statistics alone, without reading, on one thread.

    python benchmarks/group_statistics.py

Each case runs in a separate process: `stats` with 100 and with 417 people in 417 regions and 47
contrasts, and with 100 people in the voxels of one contrast; `phenotypes` with 200 people, from
each of 47 contrasts and from all of them together. All have 1,000 permutations and three
covariates.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

REGIONS, CONTRASTS, VOXELS, PERMUTATIONS = 417, 47, 158_680, 1000


def stats(people: int, columns: int, contrasts: int) -> None:
    """Test a phenotype of simulated people."""
    import numpy as np

    from bids_dtg.stats.permutation import (
        Design,
        correct,
        fit_columns,
        permuted_orders,
        sizes_p,
    )

    rng = np.random.default_rng(0)
    orders = permuted_orders(np.arange(people), PERMUTATIONS)
    design = Design.of(
        rng.standard_normal(people), rng.standard_normal((people, 3)), orders
    )
    values = rng.standard_normal((people, columns), np.float32)
    tests = [fit_columns(values, design) for _ in range(contrasts)]
    sizes_p(np.sum([contrast.products for contrast in tests], axis=0), design)
    correct(tests)


def phenotypes(people: int) -> None:
    """Predict a phenotype of simulated people from each contrast, and from all together."""
    import numpy as np

    from bids_dtg.stats.permutation import permuted_orders
    from bids_dtg.stats.prediction import (
        Target,
        family_folds,
        judge,
        predict,
        products,
        rotated,
        scores_from_products,
    )

    rng = np.random.default_rng(0)
    families = np.arange(people)
    orders = permuted_orders(families, PERMUTATIONS)
    tested, covariates = rng.standard_normal(people), rng.standard_normal((people, 3))
    target = Target(tested, families, covariates, orders)
    folds, together = family_folds(families, 5, 0), np.zeros((people, people))
    for _ in range(CONTRASTS):
        values = rng.standard_normal((people, REGIONS), np.float32)
        judge(predict(rotated(values), target, folds), None, target)
        together += products(values)
    judge(predict(scores_from_products(together), target, folds), None, target)


CASES: Mapping[str, Callable[[], None]] = {
    "stats, 100 people, 47 contrasts by regions": partial(
        stats, people=100, columns=REGIONS, contrasts=CONTRASTS
    ),
    "stats, 417 people, 47 contrasts by regions": partial(
        stats, people=417, columns=REGIONS, contrasts=CONTRASTS
    ),
    "stats, 100 people, one contrast by voxels": partial(
        stats, people=100, columns=VOXELS, contrasts=1
    ),
    "phenotypes, 200 people, 48 sets by regions": partial(phenotypes, people=200),
}


def main() -> None:
    """Run each case in a separate process, which measures it."""
    if len(sys.argv) > 1:
        before = time.process_time()
        CASES[sys.argv[1]]()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{sys.argv[1]}\t{time.process_time() - before:.1f} s\t{peak:.0f} MB")
        return
    one_thread = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
    )
    for name in CASES:
        subprocess.run(
            [sys.executable, __file__, name], check=True, env=os.environ | one_thread
        )


if __name__ == "__main__":
    main()
