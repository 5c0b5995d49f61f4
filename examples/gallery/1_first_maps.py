"""
# First maps

From a resting-state run to 47 maps, and a look at one of them.

**Everybody here is simulated, and the demo model is not for science.**
"""

# %%
# ## Make the maps
#
# `dtg-demo demo-output --participants 2` simulates two participants, in the
# layout of fMRIPrep's output, and then runs
#
# ```console
# $ bids_dtg demo-output/simulated/fmriprep demo-output/maps \
#     participant --model demo
# ```
#
# Without `--model demo`, this is the command for your own data.

import subprocess
from pathlib import Path

if not Path("demo-output").exists():
    command = "dtg-demo demo-output --participants 2"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

for path in sorted(Path("demo-output/maps").iterdir()):
    print(path.name)

# %%
# `index.html` opens the reports. `sub-sim001/func` has the maps.
#
# ## Find them
#
# `load_maps` lists the maps in an output folder, one per row. In the column
# `desc`, `synthetic` stands for a predicted map.

import bids_dtg

maps = bids_dtg.load_maps(
    "demo-output/maps", contrast=["languageMathVsStory"]
)
print(
    maps[["participant", "contrast", "desc", "stat", "space"]].to_string(
        index=False
    )
)

# %%
# ## Look at one
#
# The figure shows the participant's predicted map, the true map of the
# simulation, and the predicted map minus the mean map of both participants,
# which is what they do not share.

import matplotlib.pyplot as plt
from nilearn import image, plotting

both = maps[maps["desc"] == "synthetic"]["path"].map(str).tolist()
first = maps[maps["participant"] == "sim001"].set_index("desc")["path"]
(truth,) = Path("demo-output/simulated/truth").rglob(
    "sub-sim001*_contrast-languageMathVsStory_*_desc-truth_statmap.nii.gz"
)
shown = {
    "predicted from rest (z)": str(first["synthetic"]),
    "simulated truth (z)": str(truth),
    "predicted minus the mean of both (z)": image.math_img(
        "own - mean",
        own=str(first["synthetic"]),
        mean=image.mean_img(both),
    ),
}
figure, axes = plt.subplots(3, 1, figsize=(8, 7))
for axis, (words, shown_map) in zip(axes, shown.items(), strict=True):
    axis.set_title(words, fontsize=11)
    plotting.plot_stat_map(
        shown_map,
        display_mode="z",
        cut_coords=[-20, 0, 20, 40, 60],
        axes=axis,
    )
plt.show()

# %%
# ## Compare them
#
# Outside the mask, a map is 0, which means "no value". The coverage file
# has the mask.

import nibabel as nib
import numpy as np

(coverage,) = Path("demo-output/maps/sub-sim001").rglob(
    "*_desc-coverage_dseg.nii.gz"
)
inside = nib.load(coverage).get_fdata() == 1
predicted = nib.load(first["synthetic"]).get_fdata()[inside]
true = nib.load(truth).get_fdata()[inside]
r = np.corrcoef(predicted, true)[0, 1]
print(f"{inside.sum():,} voxels, r with the truth: {r:.2f}")

# %%
# This r is less impressive than it seems, as the average map of other
# people is nearly as similar to this person's. The demo's table has both
# for all contrasts. It also has r of what is specific to the person: of
# prediction and truth after that average is subtracted from each.

import pandas as pd

scores = pd.read_table("demo-output/demo.tsv", index_col="contrast").drop(
    index="mean", errors="ignore"
)
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
ordered = scores.sort_values("r_predicted_truth")
places = np.arange(len(ordered))
axis.plot(places, ordered["r_predicted_truth"], "o", label="predicted map")
axis.plot(
    places,
    ordered["r_group_truth"],
    "_",
    markersize=9,
    label="average of other people",
)
axis.plot(places, ordered["r_own"], ".", label="average subtracted")
axis.set(
    xlabel="47 contrasts", ylabel="r with the truth", ylim=(0, 1), xticks=[]
)
axis.legend(frameon=False)
plt.show()
print(scores.mean().round(3).to_string())
