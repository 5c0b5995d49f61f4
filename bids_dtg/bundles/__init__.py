"""Bundles of any kind: folders that hold a model and all that its use needs.

- `card`: what a bundle says about itself, in `model.json`
- `fields`: checked access to the fields of that file
- `kinds`: the table of the kinds of model; a new one is a module and a row
- `parts`: the small files beside the weights
- `people`: whom a model has seen, as hashes
- `writer`: writes a bundle, whole or not at all
- `store`: where bundles are installed; finds and removes them
- `archive`: a bundle as one file, equal bytes for equal bundles
- `packing`: loads bundles of any kind, packs and unpacks them
- `overview`: lines, tables and scores that ``dtg-models`` prints
"""
