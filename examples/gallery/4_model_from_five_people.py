"""
# A model from five people

Five people with rest and measured task maps are enough to train a model of
your own. This example trains one and judges it on twenty other people.

**Everybody here is simulated.** What five real people give is in the
documentation of models of your own.
"""

# %%
# ## Simulate 25 people
#
# The phantom simulates people with known networks. At 8 mm a person has
# 2,682 voxels of grey matter. Each has rest (two segments of 150 frames)
# and one noisy measurement of 47 task maps.

import shutil
import subprocess
from pathlib import Path

import numpy as np

import bids_dtg
from bids_dtg.contrasts.phantom.model import Phantom

phantom = Phantom(block=4)
people = [phantom.person(cohort=0, index=index) for index in range(25)]
grey = phantom.anatomy.grey_in_brain
labels = [
    contrast.label for contrast in bids_dtg.load_bundle("demo").contrasts
]


def arrays(chosen):
    """Rest and maps of people, as the program takes them."""
    rest = [
        np.concatenate([p.frames(0, s)[:, grey] for s in range(2)]).T
        for p in chosen
    ]
    return {
        "people": np.array([f"sim{p.index:02d}" for p in chosen]),
        "contrasts": np.array(labels),
        "rest": np.stack(rest),  # (people, places, frames)
        "tr_seconds": np.array(2.0),
        "targets": np.stack([p.measured_maps(session=0) for p in chosen]),
        "roi_maps": phantom.roi_maps,  # (rois, places)
    }


shutil.rmtree("five", ignore_errors=True)  # of an earlier run
Path("five/study").mkdir(parents=True)
five, others = arrays(people[:5]), arrays(people[5:])
np.savez("five/five.npz", **five)
np.savez("five/others.npz", **others)
print({key: value.shape for key, value in five.items()})

# %%
# ## Train
#
# `linear` has the same coefficients at all places and suits a few people.
# It takes seconds and needs no GPU. The study's folder only gives the data
# set its name.

group = "bids_dtg five/study five/out group --analysis"
train = f"{group} train --architecture linear --input-arrays five/five.npz"
subprocess.run(train.split(), check=True, stdout=subprocess.DEVNULL)
for path in sorted(Path("five/out/group/model-own/bundle").iterdir()):
    print(path.name)

# %%
# The bundle is the model. With images in place of arrays (`-d
# statmaps=FOLDER`), the participant level takes it by `--model`.
#
# ## Predict twenty others
#
# The model reads their rest alone.

model = "five/out/group/model-own/bundle"
predict = f"{group} predict --model {model} --input-arrays five/others.npz"
subprocess.run(predict.split(), check=True, stdout=subprocess.DEVNULL)
(written,) = Path("five/out/group").glob(
    "prediction-*/desc-predictions.npz"
)
with np.load(written) as file:
    predicted = file["values"]  # (people, contrasts, places)
measured = others["targets"]
print(predicted.shape)

# %%
# ## Judge
#
# The average map of the five is what there is without a model: the same for
# everybody. How often is a person's measured map closer to the own
# prediction than to those of the nineteen others? By chance it would be
# 0.05.

import matplotlib.pyplot as plt

from bids_dtg.stats.metrics import correlation_matrix

average = np.broadcast_to(five["targets"].mean(axis=0), measured.shape)


def mean_r(maps):
    """Mean r with measured maps over contrasts, a value a person."""
    return np.array(
        [
            np.mean(
                [
                    np.corrcoef(a, b)[0, 1]
                    for a, b in zip(own, seen, strict=True)
                ]
            )
            for own, seen in zip(maps, measured, strict=True)
        ]
    )


own_r, average_r = mean_r(predicted), mean_r(average)
centred = (
    predicted - predicted.mean(axis=0),
    measured - measured.mean(axis=0),
)
matrix = correlation_matrix(*(maps.reshape(20, -1) for maps in centred))
found = np.mean(matrix.argmax(axis=0) == np.arange(20))
print("mean r with measured maps")
print(f"model: {own_r.mean():.3f}")
print(f"average of the five: {average_r.mean():.3f}")
print(f"identified: {found:.2f} of 20 (chance 0.05)")

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 4), layout="constrained"
)
left.plot([0.3, 0.7], [0.3, 0.7], color="grey", linewidth=0.8)
left.plot(average_r, own_r, "o")
low, high = (
    np.min([own_r, average_r]) - 0.01,
    np.max([own_r, average_r]) + 0.01,
)
left.set(
    xlim=(low, high),
    ylim=(low, high),
    xlabel="r of the average of five",
    ylabel="r of the model",
)
drawn = right.imshow(matrix.T, cmap="RdBu_r", vmin=-0.3, vmax=0.3)
right.set(xlabel="predicted map of person", ylabel="measured map of person")
figure.colorbar(drawn, label="r, means of the 20 removed")
plt.show()

# %%
# Each point is a person; above the line the model is better than the
# average. The bright diagonal says that a prediction resembles its own
# person more than others.
