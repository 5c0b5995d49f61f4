"""
# Connectomes and dynamics

The connectome from which a participant's maps are predicted, and a model of
the dynamics of regional activity.

**Everybody here is simulated. Nothing on this page says anything about
brains.**
"""

# %%
# ## The connectome in an output folder
#
# The participant level writes a table of the correlations between the time
# series of the model's 50 ROIs. `seg-` in its file name says which ROI maps
# were used.

import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

if not Path("demo-output").exists():
    command = "dtg-demo demo-output --participants 2"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

matrices = {
    path.name.split("_")[0]: pd.read_table(path).to_numpy(float)
    for path in sorted(
        Path("demo-output/maps").rglob("*_desc-connectome_relmat.tsv")
    )
}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for axis, (participant, matrix) in zip(axes, matrices.items(), strict=True):
    drawn = axis.imshow(
        matrix - np.eye(len(matrix)), cmap="RdBu_r", vmin=-0.6, vmax=0.6
    )
    axis.set(title=participant, xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes, label="r between ROIs", shrink=0.8)
plt.show()

upper = np.triu_indices(50, k=1)
alike = np.corrcoef([matrix[upper] for matrix in matrices.values()])
print(f"r between the connectomes of two people: {alike[0, 1]:.2f}")

# %%
# ## Series, connections, and a model
#
# `--workflow dynamics` learns from regional time series how activity
# changes from one frame to the next. Its demo simulates images of ten
# people whose regions are coupled oscillators. It extracts their series,
# trains a linear core on nine people, and applies it to the tenth.

if not Path("network-output").exists():
    command = "dtg-demo network-output --workflow dynamics"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

truth = Path("network-output/simulated/truth")
with np.load(truth / "networks.npz") as file:
    series, structural = (
        file["rest"],
        file["structural"],
    )  # (people, regions, frames or regions)
    seconds = float(file["tr_seconds"]) * np.arange(series.shape[2])
print(series.shape, structural.shape)

# %%
# The figure shows the simulated connections, correlations and four series
# of the person who was not used to train the core. A region oscillates on
# its own if its parameter a is above 0.

parameters = pd.read_table(truth / "truth.tsv")
new = parameters["participant_id"].unique()[-1]
a = parameters.loc[parameters["participant_id"] == new, "a"].to_numpy()
figure = plt.figure(figsize=(10, 3.6), layout="constrained")
left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 1.6])
left.imshow(np.log10(structural[-1] + 1e-3), cmap="viridis")
left.set(title="structural connections (log)", xticks=[], yticks=[])
middle.imshow(np.corrcoef(series[-1]), cmap="RdBu_r", vmin=-1, vmax=1)
middle.set(title="correlations of series", xticks=[], yticks=[])
ranks = np.linspace(0, len(a) - 1, 4).astype(int)
for offset, region in enumerate(np.argsort(a)[ranks]):
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
# ## Results for a new person
#
# `desc-lag1` has the effect of each region on every other region one frame
# later. Each effect is strongly shrunk towards that of the training people.
# `desc-components` has the features for statistics.

func = Path("network-output/new") / new / "func"
(effects,) = func.glob("*_desc-lag1_relmat.tsv")
(components,) = func.glob("*_desc-components_parameters.tsv")
lag1 = pd.read_table(effects, index_col=0).to_numpy(float)
figure, axis = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
drawn = axis.imshow(
    lag1 - np.diag(np.diag(lag1)), cmap="RdBu_r", vmin=-0.2, vmax=0.2
)
axis.set(
    title="effects one frame later",
    xlabel="from region",
    ylabel="on region",
    xticks=[],
    yticks=[],
)
figure.colorbar(drawn, ax=axis, label="coefficient", shrink=0.8)
plt.show()
print(pd.read_table(components).to_string(index=False))

# %%
# The demo simulates another run of the same oscillators. Its correlations
# are similar to the core's prediction and to those of the first run, and
# less similar to the mean of the training people:

print(pd.read_table("network-output/demo.tsv").to_string(index=False))
