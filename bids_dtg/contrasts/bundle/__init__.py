"""Bundles of models of contrast maps: their part of the card; writing, reading and making them.

- `arrays`: the small files besides the weights, such as the offset, the half-widths and the mean
- `bundle`: a verified model; `load_bundle` finds one by name or path, `write_bundle` writes one
- `checkpoint`: published checkpoints, read as tensors only
- `convert`: a bundle from a checkpoint, ROI maps and masks
- `facts`: the lines of ``dtg-models info`` on such a model
- `kinds`: the table of the kinds; a new one is a module and a row
- `part`: the part of the card that models of contrast maps have
- `registry`: the published models: their files and cards, and their training people
- `selftest`: simulated rest through a model, and what must hold of the maps
"""
