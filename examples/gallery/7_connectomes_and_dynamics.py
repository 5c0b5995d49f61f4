"""
# Connectomes and dynamics

The connectome that a participant's maps are made from, and a model of how
activity moves along connections.

**Everybody here is simulated: nothing on this page says anything about
brains.**
"""

# %%
# ## The connectome in an output folder
#
# The participant level writes correlations between the series of the
# model's 50 ROIs, as a table. `seg-` in its name is the name of the ROI
# maps.

import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

if not Path("demo-output").exists():
    subprocess.run(
        ["dtg-demo", "demo-output"], check=True, stdout=subprocess.DEVNULL
    )

matrices = {
    path.name.split("_")[0]: pd.read_table(path).to_numpy(float)
    for path in sorted(
        Path("demo-output/maps").rglob("*_desc-connectome_relmat.tsv")
    )
}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for axis, (participant, matrix) in zip(axes, matrices.items(), strict=True):
    drawn = axis.imshow(
        matrix - np.eye(len(matrix)), cmap="RdBu_r", vmin=-0.6, vmax=0.6
    )
    axis.set(title=participant, xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, label="r between ROIs", shrink=0.8)
plt.show()

upper = np.triu_indices(50, k=1)
alike = np.corrcoef([matrix[upper] for matrix in matrices.values()])
print(
    "r between the connectomes of people:",
    alike[np.triu_indices(3, k=1)].round(2),
)

# %%
# ## Series, connections and a model of both
#
# `--workflow dynamics` learns from series of regions and structural
# connections how activity changes from one frame to the next. Its demo with
# `--published` simulates people as networks of oscillators with known
# parameters, and fits the published network to them. Four people keep the
# example short; the default is eight. It needs the extra `train`.

if not Path("network-output").exists():
    command = "dtg-demo network-output --workflow dynamics --published"
    command += " --participants 4"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

with np.load("network-output/simulated/networks.npz") as file:
    series, structural = (
        file["rest"],
        file["structural"],
    )  # (people, regions, frames or regions)
    seconds = float(file["tr_seconds"]) * np.arange(series.shape[2])
print(series.shape, structural.shape)

# %%
# One person's connections, correlations and four of the series. A region
# oscillates by itself where its parameter a is above 0.

truth = pd.read_table("network-output/simulated/truth.tsv")
person = truth["participant_id"].unique()[-1]
a = truth.loc[truth["participant_id"] == person, "a"].to_numpy()
figure = plt.figure(figsize=(10, 3.6), layout="constrained")
left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 1.6])
left.imshow(np.log10(structural[-1] + 1e-3), cmap="viridis")
left.set(title="structural connections (log)", xticks=[], yticks=[])
middle.imshow(np.corrcoef(series[-1]), cmap="RdBu_r", vmin=-1, vmax=1)
middle.set(title="correlations of series", xticks=[], yticks=[])
for offset, region in enumerate(np.argsort(a)[[0, 11, 22, 33]]):
    own = series[-1, region]
    right.plot(seconds, own / np.abs(own).max() / 2 + offset, linewidth=0.9)
    right.text(
        seconds[-1] * 1.01,
        offset,
        f"a = {a[region]:.2f}",
        va="center",
        fontsize=9,
    )
right.set(
    title="series of four regions",
    xlabel="s",
    yticks=[],
    xlim=(0, seconds[-1] * 1.2),
)
plt.show()

# %%
# ## What the model recovers
#
# The model's numbers have no names. A regression of the *other* people's
# true values on them turns them into a and f. The variance of a series
# alone recovers a as well as the model does: the last line has it. The
# frequency f is harder.

found = pd.read_table("network-output/demo.tsv")
figure, axes = plt.subplots(1, 2, figsize=(8.5, 4), layout="constrained")
for axis, name, unit in zip(axes, ("a", "f"), ("", " (Hz)"), strict=True):
    rho = found[f"{name}_true"].corr(
        found[f"{name}_recovered"], method="spearman"
    )
    axis.errorbar(
        found[f"{name}_true"],
        found[f"{name}_recovered"],
        yerr=found[f"{name}_sd_with_residual"],
        fmt=".",
        elinewidth=0.4,
        alpha=0.7,
    )
    axis.axline(
        (found[f"{name}_true"].mean(),) * 2,
        slope=1,
        color="grey",
        linewidth=0.8,
    )
    axis.set(
        title=f"Spearman's rho = {rho:.2f}",
        xlabel=f"true {name}{unit}",
        ylabel=f"recovered {name}{unit}",
    )
plt.show()
variance = np.array([values.var(axis=1) for values in series]).ravel()
rho = found["a_true"].corr(pd.Series(variance), method="spearman")
print(f"rho of the true a with the variance of the series: {rho:.2f}")
