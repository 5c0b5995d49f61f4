"""From connectomes to contrast maps: kinds of model, their fitting and their evaluation.

Contrasts and maps:

- `contrast`: the contrasts that a model predicts: order, labels, meaning
- `maps`: maps averaged over segments of rest, with their spread
- `recentring`: removes from a model's maps its error in the mean map

Kinds of model; `bundle.kinds` says which functions a kind has:

- `network`: the attention U-Net
- `linear`: the linear model of weighted deviations, of several sets of ROI maps
- `fit_linear`: the linear model of people's arrays, for Python

Fitting and evaluation:

- `people`: people with rest and measured maps, as arrays; a model that is fitted to them
- `plan`: how a network is trained
- `train`: trains the attention U-Net on batches of people (extra ``train``)
- `losses`: training losses (torch)
- `half_width`: half-widths of intervals around maps, by contrast and block of places
- `group_ica`: spatial maps of a group's networks, from people's rest
- `baselines`: public door to `bids_dtg.stats.linear`
- `metrics`: public door to `bids_dtg.stats.metrics`

The slice around this science, from top to bottom:

- `row`: the workflow's entry in the program's table of workflows
- `demo`: simulated people through the participant level, compared with the truth
- `analyses`: what `group --analysis` does
- `participant`: the work on one participant, and how people are read
- `panels`: figures and text of the pages of results
- `phantom`: simulated people with a known truth
- `bundle`: the content of a bundle of such a model: writer and reader
- `judging`: scores of models: one row per model, contrast and person
"""
