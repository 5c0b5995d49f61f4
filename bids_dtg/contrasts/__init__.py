"""From connectomes to contrast maps: kinds of model, their fitting and their evaluation.

Contrasts and maps:

- `contrast`: the contrasts that a model predicts: order, labels, meaning
- `maps`: maps averaged over segments of rest
- `recentring`: corrects a model's error in the mean map

Kinds of model; `bundle.kinds` says which functions a kind has:

- `network`: the attention U-Net
- `linear`: the linear model of weighted connectome deviations, over several sets of ROI maps
- `fit_linear`: the linear model fitted to arrays, for use from Python

Fitting and evaluation:

- `people`: people with rest and measured maps, as arrays; a model fitted to them
- `plan`: how a network is trained
- `train`: trains the attention U-Net on batches of people (extra ``train``)
- `losses`: training losses (torch)
- `half_width`: half-widths of prediction intervals, by contrast and block of voxels
- `group_ica`: a group's spatial network maps, from people's rest
- `baselines`: public names of `bids_dtg.stats.linear`
- `metrics`: public names of `bids_dtg.stats.metrics`

The slice around this science, from top to bottom:

- `row`: the workflow's entry in the program's table of workflows
- `demo`: simulated people run through the participant level and compared with the truth
- `analyses`: what `group --analysis` does
- `participant`: the work on one participant, and how people are read
- `panels`: figures and text of the pages of results
- `phantom`: simulated people with a known truth
- `bundle`: reads and writes the contents of a model bundle
- `judging`: scores of models: one row per model, contrast and person
"""
