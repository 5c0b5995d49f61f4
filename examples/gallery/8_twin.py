"""
# A digital twin

A network, generated from a person's connectome, performs the task that the
person performed.

**Everybody here is simulated. Nothing on this page says anything about
brains.**
"""

# %%
# ## Simulate people, fit twins
#
# The demo of `--workflow twin` simulates 300 people who perform a Stroop
# task. It fits twins to two thirds of them, and predicts the responses of
# the others from their connectomes alone. It needs the extra `train`.

import subprocess
from pathlib import Path

if not Path("twin-output").exists():
    command = "dtg-demo twin-output --workflow twin"
    done = subprocess.run(
        command.split(), check=True, stdout=subprocess.PIPE, text=True
    )
    Path("twin-output/printed.txt").write_text(done.stdout)
print(Path("twin-output/printed.txt").read_text())

# %%
# ## Input
#
# A twin reads a person's connectome and the sequence of trials, from BIDS
# event files.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

with np.load("twin-output/simulated/connectomes.npz") as file:
    edges, regions = (
        file["edges"],
        len(file["places"]),
    )  # Fisher z of the upper triangle
connectome = np.zeros((regions, regions))
connectome[np.triu_indices(regions, k=1)] = np.tanh(edges[0])
connectome += connectome.T
events = sorted(Path("twin-output/simulated/bids").rglob("*_events.tsv"))
trials = pd.concat(
    [
        pd.read_table(path, na_values="n/a").assign(
            person=path.name.split("_")[0]
        )
        for path in events
    ]
)
trials["condition"] = (
    trials["trial_type"]
    .str[:3]
    .map({"con": "congruent", "inc": "incongruent"})
)
print(
    trials[
        [
            "onset",
            "stimulus_text",
            "stimulus_color",
            "response",
            "response_time",
        ]
    ]
    .head(4)
    .to_string(index=False)
)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.8), layout="constrained"
)
drawn = left.imshow(connectome, cmap="RdBu_r", vmin=-0.8, vmax=0.8)
left.set(title="one person's connectome", xticks=[], yticks=[])
figure.colorbar(drawn, ax=left, label="r", shrink=0.8)
for condition, own in trials.groupby("condition"):
    right.hist(
        own["response_time"].dropna(),
        bins=np.arange(0.2, 2, 0.05),
        histtype="step",
        label=condition,
    )
right.set(
    title=f"{len(trials):,} responses of {len(events)} people",
    xlabel="response time (s)",
    yticks=[],
)
right.legend(frameon=False)
plt.show()

# %%
# ## What twins predict
#
# The figure shows mean response times of held-out people, predicted by
# twins and by a ridge regression on the connectome, which does equally
# well. The advantage of a twin is that it performs single trials.

group = Path("twin-output/results/group")
found = pd.read_table(
    group / "evaluation-demo/desc-people_predicted.tsv", na_values="n/a"
)
observed = found["observed_stroop_rt"]
figure, axes = plt.subplots(
    1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained"
)
names = {"twin": "twin", "connectome_ridge": "ridge regression"}
for axis, (source, name) in zip(axes, names.items(), strict=True):
    predicted = found[f"{source}_stroop_rt"]
    r = (
        predicted.corr(observed)
        if predicted.nunique() > 1
        else float("nan")
    )
    axis.plot(predicted, observed, ".")
    axis.set(
        title=f"{name}: r = {r:.2f}",
        xlabel="predicted mean response time (s)",
    )
    axis.axline(
        (observed.mean(),) * 2, slope=1, color="grey", linewidth=0.8
    )
axes[0].set_ylabel("observed (s)")
plt.show()

# %%
# ## What interventions change
#
# The intervention moves each connectome in a direction in which people
# differ. All twins become faster, by nearly the same amount.

path = group / "intervention-demo/desc-people_changes.tsv"
changes = pd.read_table(path, na_values="n/a")
times = changes[changes["function"] == "stroop_rt"]
figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
axis.plot(times["level_before"], times["change"], ".")
axis.axhline(0, color="grey", linewidth=0.8)
axis.set(
    title="mean response time",
    xlabel="before the intervention (s)",
    ylabel="change by the intervention (s)",
)
plt.show()
