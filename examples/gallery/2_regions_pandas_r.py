"""
# A table of regions in pandas and R

Many analyses use means over regions. The participant level writes a table
of them, which this example reads.

**Everybody here is simulated, and the demo model is not for science.**
"""

# %%
# ## Read it
#
# `dtg-demo` simulates participants, here two, and predicts their maps, with
# means over Schaefer's 400 regions. `load_maps(…, atlas=…)` combines the
# tables of all participants.

import subprocess
from pathlib import Path

import bids_dtg

if not Path("demo-output").exists():
    command = "dtg-demo demo-output --participants 2"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)

regions = bids_dtg.load_maps("demo-output/maps", atlas="Schaefer400")
columns = [
    "participant",
    "contrast",
    "name",
    "mean",
    "coverage",
]
print(regions[columns].head(6).round(2).to_string(index=False))
print(f"{len(regions):,} rows")

# %%
# `coverage` is the share of the region that has values. If it is below 0.5,
# `mean` is empty.
#
# ## One row per participant
#
# Statistics packages expect one row per participant and one column per
# region.

wide = regions.pivot(
    index="participant", columns=["contrast", "name"], values="mean"
)
wide = wide.dropna(axis="columns", how="all")
print(wide.shape)
print(wide["wm2bkVs0bk"].iloc[:, :3].round(2).to_string())

# %%
# ## Means of networks
#
# The name of a region contains its network. Each region is weighted by its
# number of voxels.

import matplotlib.pyplot as plt
import numpy as np

one = regions[regions["contrast"] == "wm2bkVs0bk"].dropna(subset="mean")
one = one.assign(network=one["name"].str.split("_").str[2])
networks = (
    one.assign(total=one["mean"] * one["voxels"])
    .groupby(["network", "participant"])[["total", "voxels"]]
    .sum()
    .eval("total / voxels")
    .unstack()
)
figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
networks.loc[networks.mean(axis=1).sort_values().index].plot.bar(
    ax=axis, width=0.75, rot=0
)
axis.axhline(0, color="black", linewidth=0.8)
axis.set(ylabel="mean z, 2-back minus 0-back", xlabel="network")
axis.legend(frameon=False, ncols=2)
plt.show()

# %%
# ## The strongest regions

person = one[one["participant"] == "sim001"].set_index("name")
strongest = person.loc[
    person["mean"].abs().sort_values().index[-12:]
].sort_values("mean")
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
axis.plot(strongest["mean"], np.arange(12), "o", color="C0")
axis.axvline(0, color="black", linewidth=0.8)
axis.set_yticks(
    np.arange(12), strongest.index.str.removeprefix("7Networks_")
)
axis.set(xlabel="mean z, 2-back minus 0-back (participant sim001)")
plt.show()

# %%
# ## The same in R
#
# The tables are plain TSV files, one per participant, with `n/a` for empty
# cells. R reads them without any package:

in_r = """
pattern <- "Schaefer.*_desc-regions_statmap.tsv$"
files <- list.files("demo-output/maps", pattern,
                    recursive = TRUE, full.names = TRUE)
read <- function(file) {
  person <- sub("^sub-", "", strsplit(basename(file), "_")[[1]][1])
  cbind(participant_id = person, read.delim(file, na.strings = "n/a"))
}
regions <- do.call(rbind, lapply(files, read))
one <- subset(regions, contrast == "wm2bkVs0bk" & !is.na(mean))
one$network <- sapply(strsplit(one$name, "_"), `[`, 3)
by <- list(one$network, one$participant_id)
total <- tapply(one$mean * one$voxels, by, sum)
print(round(total / tapply(one$voxels, by, sum), 3))
"""

# %%
# R 4.2.2 gave the same means as pandas, to the three digits that it prints.
# If R is not installed, its code is shown but not run.

import shutil

if shutil.which("Rscript"):
    done = subprocess.run(
        ["Rscript", "-e", in_r], check=True, capture_output=True, text=True
    )
    print("Run by R:", done.stdout, sep="\n")
else:
    print("R is not installed here, so its code was not run. pandas gives:")
    print(networks.round(3).to_string())
