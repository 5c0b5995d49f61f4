"""
# Normative scores with PCNtoolkit

How far a person's regions lie from what is usual for the person's age, sex
and site.

**Everybody here is simulated: nothing on this page says anything about
brains.**
"""

# %%
# [PCNtoolkit](https://pcntoolkit.readthedocs.io) fits norms to tables, and
# the program writes tables. So it takes a few lines between the two.
# PCNtoolkit needs Python 3.11 or 3.12 and 370 MB more than the program:
#
# ```console
# $ pip install 'pcntoolkit>=1.3'
# ```
#
# ## A table with a row a person
#
# Of your own output folder it is
#
# ```python
# regions = bids_dtg.load_maps(OUTPUT_DIR, atlas="Schaefer400")
# one = regions[regions["contrast"] == "wm2bkVs0bk"]
# table = one.pivot(index="participant", columns="name", values="mean")
# people = pd.read_table("participants.tsv", index_col="participant_id")
# table = table.join(people.rename(lambda name: name.removeprefix("sub-")))
# ```
#
# Norms need many people: with fewer than 50 they are not worth fitting. The
# example simulates 240, with means over the places of six networks. Age (in
# a curve), sex and two sites were added to them, and noise that grows with
# age.

import numpy as np
import pandas as pd

import bids_dtg
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters

phantom = Phantom(PhantomParameters(), block=4)  # version 1
contrast = [c.label for c in bids_dtg.load_bundle("demo").contrasts].index(
    "wm2bkVs0bk"
)
parcels = phantom.roi_maps.argmax(axis=0)  # the network of each place
rng = np.random.default_rng(0)
names = [f"network{number:02d}" for number in range(1, 7)]
rows = []
for index in range(240):
    whole = phantom.person(cohort=0, index=index).knowable_maps(draws=1)[
        contrast
    ]
    rows.append([whole[parcels == number].mean() for number in range(6)])
table = pd.DataFrame(rows, columns=names)
table = (table - table.mean()) / table.std()
table["age"] = rng.uniform(20, 80, 240).round(1)
table["sex"] = rng.choice(["F", "M"], 240)
table["site"] = rng.choice(["A", "B"], 240)
table["participant"] = [f"sim{index:03d}" for index in range(240)]
years = (table["age"] - 50) / 30
for name in names:
    noise = 0.5 * np.exp(0.4 * years) * rng.standard_normal(240)
    table[name] += (
        -1.2 * years**2 - 0.8 * years + 0.6 * (table["site"] == "B") + noise
    )
print(table.head(4).round(2).to_string(index=False))

# %%
# ## Fit norms, and score other people
#
# Bayesian linear regression: a B-spline of age, an offset for each sex and
# site, and a spread that changes with age. People who are scored must not
# be among those that norms are fitted to: here 180 and 60. Two of the 60
# are made unusual, to be found again.
#
# PCNtoolkit is not among the packages that this site is built with. Where
# it is missing, the example reads the scores that the same lines wrote
# earlier; the line below says which.

from pathlib import Path

table.loc[180, names] += 4.0
table.loc[181, "network03"] -= 5.0
kept = Path("6_normative_scores.tsv")


def normative_scores(table):
    """Scores of the last 60 people by norms of the first 180."""
    import pcntoolkit as ptk
    from pcntoolkit.util.output import Output

    Output.set_show_messages(False)
    fitted, scored = (
        ptk.NormData.from_dataframe(
            name=name,
            dataframe=people,
            covariates=["age"],
            batch_effects=["sex", "site"],
            response_vars=names,
            subject_ids="participant",
        )
        for name, people in (
            ("fitted", table.iloc[:180]),
            ("scored", table.iloc[180:]),
        )
    )
    regression = ptk.BLR(
        basis_function_mean=ptk.BsplineBasisFunction(
            basis_column=0, nknots=5, degree=3
        ),
        fixed_effect=True,
        heteroskedastic=True,
        basis_function_var=ptk.LinearBasisFunction(basis_column=0),
    )
    norms = ptk.NormativeModel(
        regression,
        savemodel=False,
        evaluate_model=False,
        saveresults=False,
        saveplots=False,
    )
    norms.fit_predict(fitted, scored)
    z, centiles = scored["Z"].to_pandas(), scored["centiles"]
    found = z[names].add_prefix("z_")
    found.insert(0, "value", table["network03"].to_numpy()[180:])
    for share in (0.05, 0.95):
        found[f"centile{share:.2f}"] = centiles.sel(
            centile=share, response_vars="network03"
        ).to_numpy()
    return found.reset_index(drop=True)


try:
    scores = normative_scores(table)
except ModuleNotFoundError as missing:
    if missing.name != "pcntoolkit" or not kept.exists():
        raise
    scores = pd.read_table(kept, comment="#")
    own = table["network03"].iloc[180:]
    assert np.allclose(scores["value"], own, atol=1e-3), "of other people"
    print("PCNtoolkit is not installed here: these are kept scores.")
    print(kept.read_text().splitlines()[0].removeprefix("# "))
else:
    from datetime import date
    from importlib.metadata import version
    from platform import python_version

    versions = (
        f"PCNtoolkit {version('pcntoolkit')} on Python {python_version()}"
    )
    words = f"Scored by {versions}, {date.today()}"
    kept.write_text(
        f"# {words}\n" + scores.round(4).to_csv(sep="\t", index=False)
    )
    print(words)

# %%
# ## Look at them
#
# Left: the value with the range that holds 90 % of people of the same age,
# sex and site. Middle: the plain z-score, from mean and standard deviation
# of the same 180, which takes an old person for an unusual one. Right: the
# normative score, 0 for a person who is as expected; 1 in 20 lies beyond
# ±2.

import matplotlib.pyplot as plt

scored = table.iloc[180:].reset_index(drop=True)
plain = (scored[names] - table[names].iloc[:180].mean()) / table[
    names
].iloc[:180].std()
z = scores[[f"z_{name}" for name in names]].set_axis(names, axis=1)
figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
axes[0].vlines(
    scored["age"],
    scores["centile0.05"],
    scores["centile0.95"],
    color="0.8",
    label="90 % of people",
)
for axis, (title, values) in zip(
    axes,
    {
        "value": scored[names],
        "plain z-score": plain,
        "normative score": z,
    }.items(),
    strict=True,
):
    if title != "value":
        axis.axhspan(-2, 2, color="0.92")
        axis.set_ylim(-7, 7)
    axis.plot(scored["age"], values["network03"], "o", markersize=4)
    axis.plot(
        scored["age"][:2],
        values["network03"][:2],
        "o",
        color="C3",
        label="made unusual",
    )
    axis.set(title=f"{title} of network03", xlabel="age")
axes[0].legend(frameon=False, fontsize=9)
plt.show()

others = slice(2, None)
for title, values in {"plain z-score": plain, "normative score": z}.items():
    r = (
        values.iloc[others]
        .corrwith(scored["age"].iloc[others])
        .abs()
        .mean()
    )
    sd = values.iloc[others].stack().std()
    print(f"{title}: |r| with age {r:.2f}, standard deviation {sd:.2f}")

# %%
# ## Who is unusual
#
# Regions beyond ±2 of each person. With six regions, 0.27 are expected of
# anybody by chance; regions go together, so that a count is not that of a
# coin.

count = (z.abs() > 2).sum(axis=1)
figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
axis.bar(np.arange(60), count, color=["C3"] * 2 + ["C0"] * 58)
axis.set(
    xlabel="person (the first two were made unusual)",
    ylabel="regions beyond ±2",
)
plt.show()
