"""
# Maps on surfaces

The maps at the vertices of the cortical surface, besides the volumes.

**Everybody here is simulated, and the demo model is not for science.**
"""

# %%
# ## Ask for them
#
# `--surfaces fsLR fsaverage` also writes maps on surfaces. This example
# asks only for fsaverage5, which is small, with 10,242 vertices per
# hemisphere. The demo's participants have no surfaces of their own, so
# those of the template are used, and the JSON file of the maps says so.

import json
import subprocess
from pathlib import Path

if not Path("demo-output").exists():
    command = "dtg-demo demo-output --participants 2"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

if not Path("surface-output").exists():
    command = (
        "bids_dtg demo-output/simulated/fmriprep surface-output "
        "participant --model demo "
        "--participant-label sim001 --surfaces fsaverage --no-reports"
    )
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

files = sorted(
    Path("surface-output/sub-sim001/func").glob(
        "*_space-fsaverage_*synthetic*"
    )
)
for path in files:
    print(path.name)
sidecar = json.loads(
    next(path for path in files if path.suffix == ".json").read_text()
)
print("surfaces:", sidecar["Surfaces"])

# %%
# ## Open them
#
# The GIFTI file of each hemisphere has all contrasts, by name. Values on
# the medial wall are NaN.

import nibabel as nib
import numpy as np

sides = {}
for side in ("L", "R"):
    (path,) = (
        p
        for p in files
        if f"hemi-{side}" in p.name and p.name.endswith(".gii")
    )
    image = nib.load(path)
    sides[side] = {
        array.meta["Name"]: array.data for array in image.darrays
    }
    print(
        side,
        len(image.darrays),
        "maps of",
        len(image.darrays[0].data),
        "vertices",
    )

print(list(sides["L"])[:4])
empty = np.isnan(sides["L"]["languageMathVsStory"]).mean()
print(f"{empty:.1%} of the left vertices have no value")

# %%
# ## Draw them
#
# nilearn has the meshes of fsaverage5. The figure shows maths minus story,
# in lateral and medial views.

import matplotlib.pyplot as plt
from nilearn import datasets, plotting

mesh = datasets.fetch_surf_fsaverage("fsaverage5")
figure, axes = plt.subplots(
    1,
    4,
    figsize=(11, 3.2),
    subplot_kw={"projection": "3d"},
    layout="constrained",
)
views = [
    ("L", "lateral"),
    ("L", "medial"),
    ("R", "medial"),
    ("R", "lateral"),
]
for axis, (side, view) in zip(axes, views, strict=True):
    name = "left" if side == "L" else "right"
    plotting.plot_surf_stat_map(
        mesh[f"infl_{name}"],
        sides[side]["languageMathVsStory"],
        bg_map=mesh[f"sulc_{name}"],
        hemi=name,
        view=view,
        vmax=3,
        threshold=0.5,
        colorbar=False,
        axes=axis,
    )
    axis.set_title(f"{name}, {view}", fontsize=10)
plt.show()

# %%
# ## All contrasts at two vertices
#
# Maps on a surface are an array of 47 contrasts by vertices. The figure
# takes the vertices with the largest and the smallest value of one
# contrast, and shows their values in all contrasts.

table = np.stack(list(sides["L"].values()))
contrast = list(sides["L"]).index("languageMathVsStory")
high, low = np.nanargmax(table[contrast]), np.nanargmin(table[contrast])
figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
axis.plot(
    table[:, high], "o-", markersize=3, label=f"vertex {high}: most maths"
)
axis.plot(
    table[:, low], "o-", markersize=3, label=f"vertex {low}: most story"
)
axis.axhline(0, color="black", linewidth=0.8)
axis.axvline(contrast, color="grey", linewidth=0.8, linestyle=":")
axis.set(xlabel="contrast, in the model's order", ylabel="predicted z")
axis.legend(frameon=False)
plt.show()
