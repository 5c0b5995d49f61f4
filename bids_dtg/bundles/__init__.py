"""Model bundles: folders that hold a model and all that its use needs.

What a bundle is:

- `bundle`: a verified model; `load_bundle` finds one by name or path
- `card`: what a bundle says about itself, `model.json`; `fields` reads its JSON
- `kinds`: the table of the kinds of model: a new kind is a module and a row there
- `maps_part`: the card's part that models of contrast maps have
- `parts`: the small files beside the weights

Where bundles come from and go to:

- `registry`: the published models; `fetch` makes bundles of them
- `convert`: a bundle from a checkpoint (`checkpoint`), ROI maps and masks
- `writer`: writes a bundle, whole or not at all
- `store`: where bundles are installed; finds and removes them
- `archive`, `packing`: a bundle as one file
- `overview`: the lines and tables that ``dtg-models`` prints
"""
