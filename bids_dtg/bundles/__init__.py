"""Model bundles: folders that hold a model and all that its use needs.

What a bundle is:

- `bundle`: a verified model; `load_bundle` finds one by name or path
- `card`: what a bundle says about itself, in `model.json`
- `fields`: checked access to the fields of that file
- `maps_part`: the part of the card that models of contrast maps have
- `kinds`: the table of the kinds of model; a new one is a module and a row
- `parts`: the small files beside the weights
- `statistics`: further ones: what is known of many people
- `people`: whom a model has seen, as hashes
- `dynamics`: bundles of network models
- `twin`: bundles of digital twins

Where bundles come from and go to:

- `registry`: the published models: their files and cards
- `published_people`: whom these were trained on, as far as it is published
- `output_layer`: whether two models have the same one
- `fetch`: fetches, verifies and converts a published model
- `checkpoint`: published checkpoints, read as tensors only
- `convert`: a bundle from a checkpoint, ROI maps and masks
- `writer`: writes a bundle, whole or not at all
- `store`: where bundles are installed; finds and removes them
- `archive`: a bundle as one file, equal bytes for equal bundles
- `packing`: loads bundles of any kind, packs and unpacks them
- `overview`: lines, tables and scores that ``dtg-models`` prints
"""
