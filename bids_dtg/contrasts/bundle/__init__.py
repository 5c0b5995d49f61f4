"""Bundles of models of contrast maps: their part of the card, what writes, reads and makes them.

- `bundle`: a verified model; `load_bundle` finds one by name or path
- `checkpoint`: published checkpoints, read as tensors only
- `convert`: a bundle from a checkpoint, ROI maps and masks
- `deviation`: what a person's own part is told by: people's mean and spread
- `fetch`: fetches, verifies and converts a published model
- `output_layer`: whether two models have the same one
- `parcel_intervals`: how wide intervals around parcel means are, by atlas
- `part`: the part of the card that models of contrast maps have
- `published_people`: whom these were trained on, as far as it is published
- `registry`: the published models: their files and cards
"""
