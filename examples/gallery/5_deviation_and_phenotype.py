"""
# Deviation and phenotype

What is one person's and not everybody's, and whether it goes with a
phenotype.

**Everybody here is simulated, and the demo model is not for science.**
"""

# %%
# ## A person's deviation
#
# The demo's output has a deviation map beside each map: the map less the
# mean of other people's, in units of the spread between people. A table has
# how large it is (`distance`; 1 is usual) and, of runs of two segments or
# more, how much of it another rest of the person would show.

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

import bids_dtg

if not Path("demo-output").exists():
    command = "dtg-demo demo-output --participants 2"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

(table,) = Path("demo-output/maps/sub-sim001").rglob(
    "*_desc-individuality_statmap.tsv"
)
individuality = pd.read_table(table, na_values="n/a")
print(
    individuality[["contrast", "distance"]].head(5).to_string(index=False)
)

# %%
# Places beyond ±2 of one contrast, seen through the brain:

import matplotlib.pyplot as plt
from nilearn import plotting

maps = bids_dtg.load_maps("demo-output/maps", contrast=["wm2bkVs0bk"])
deviations = maps[maps["desc"] == "deviation"].set_index("participant")[
    "path"
]
figure, axes = plt.subplots(2, 1, figsize=(8, 4.8))
for axis, (participant, path) in zip(axes, deviations.items(), strict=True):
    axis.set_title(participant, fontsize=11)
    plotting.plot_glass_brain(
        str(path),
        threshold=2,
        vmax=5,
        plot_abs=False,
        display_mode="lyrz",
        axes=axis,
    )
plt.show()

# %%
# Motion and few minutes of rest make deviations too. The quality table has
# both for each run.
#
# ## A phenotype
#
# Two people have no phenotype worth testing. So the example simulates 100
# people at 8 mm and trains a model (`local-ridge`): 35 people fit it, and 5
# tune it. The phenotype is a trait that shapes the networks of the
# simulated people, with as much noise.

import shutil

from bids_dtg.contrasts.phantom.model import Phantom

phantom = Phantom(block=4)
labels = [
    contrast.label for contrast in bids_dtg.load_bundle("demo").contrasts
]
people = [phantom.person(cohort=0, index=index) for index in range(100)]
noise = np.random.default_rng(0).standard_normal(100)
phenotype = np.array([person.traits[0] for person in people]) + noise
connectomes = np.stack(
    [person.connectome(session=0, segment=0) for person in people]
)


def write(path, chosen, **more):
    np.savez(
        path,
        people=np.array([f"sim{person.index:03d}" for person in chosen]),
        contrasts=np.array(labels),
        connectomes=connectomes[[person.index for person in chosen]],
        **more,
    )


shutil.rmtree("phenotype", ignore_errors=True)  # of an earlier run
Path("phenotype/study").mkdir(parents=True)
training, others = people[:40], people[40:]
measured = np.stack(
    [person.measured_maps(session=0) for person in training]
)
write("phenotype/training.npz", training, targets=measured)
write("phenotype/others.npz", others)

group = "bids_dtg phenotype/study phenotype/out group --connectome marginal"
train = (
    f"{group} --analysis train --architecture local-ridge "
    "--held-out 0.12 0 --input-arrays phenotype/training.npz"
)
model = "phenotype/out/group/model-own/bundle"
predict = (
    f"{group} --analysis predict --model {model} "
    "--input-arrays phenotype/others.npz"
)
for command in (train, predict):
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

(written,) = Path("phenotype/out/group").glob(
    "prediction-*/desc-predictions.npz"
)
with np.load(written) as file:
    predicted = file["values"]  # (people, contrasts, places), float32
print(predicted.shape)

# %%
# ## Deviations of the 60
#
# Mean and spread must be of other people than the one who is looked at:
# here of the 59 others. The spread is one number a contrast, so that a map
# keeps its shape. A contrast that the model predicts alike for everybody
# has no deviations.

n = len(predicted)
differs = predicted.std(axis=0).max(axis=1) > 1e-4  # contrasts
print("the same for everybody:", *np.array(labels)[~differs])
names, predicted = np.array(labels)[differs].tolist(), predicted[:, differs]
total, squares = predicted.sum(axis=0), (predicted**2).sum(axis=0)
mean = (total - predicted) / (n - 1)
variance = (squares - predicted**2 - (n - 1) * mean**2) / (n - 2)
spread = np.sqrt(variance.mean(axis=2, keepdims=True))
deviation = (predicted - mean) / spread
size = np.sqrt((deviation**2).mean(axis=2))
low, high = size.mean(axis=1).min(), size.mean(axis=1).max()
print(f"size: {size.mean():.2f}, of people {low:.2f} to {high:.2f}")

# %%
# ## Does it go with the phenotype?
#
# Maps are made of the connectome, so the fair comparison is the connectome
# itself. A ridge predicts the phenotype of left-out people from each.

from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

observed = phenotype[40:]
features = {
    "the connectome, all places": connectomes[40:].reshape(n, -1),
    "deviations of all maps": deviation.reshape(n, -1),
    "one map's deviation (wm2bkVs0bk)": deviation[
        :, names.index("wm2bkVs0bk")
    ],
}
ridge = make_pipeline(
    StandardScaler(), RidgeCV(alphas=np.logspace(2, 7, 11))
)
folds = KFold(5, shuffle=True, random_state=0)
figure, axes = plt.subplots(
    1, 3, figsize=(10, 3.6), sharey=True, layout="constrained"
)
for axis, (name, values) in zip(axes, features.items(), strict=True):
    guess = cross_val_predict(ridge, values, observed, cv=folds)
    r = np.corrcoef(guess, observed)[0, 1]
    half = 1.96 / np.sqrt(n - 3)
    low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    print(f"{name}: r = {r:.2f} (95 % {low:.2f} to {high:.2f})")
    axis.plot(guess, observed, ".")
    axis.set(title=f"{name}\nr = {r:.2f}", xlabel="predicted phenotype")
    axis.title.set_fontsize(10)
axes[0].set_ylabel("phenotype")
plt.show()

# %%
# With 60 people the intervals are wide: they do not show which of the three
# is better. The command line asks the same question with permutations,
# covariates, families and sites, and compares maps with the connectome in
# words:
#
# ```console
# $ bids_dtg BIDS_DIR OUTPUT_DIR group --analysis phenotypes \
#     -p participants.tsv --phenotype reasoning
# ```
