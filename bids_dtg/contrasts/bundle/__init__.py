"""Bundles of models of contrast maps: their part of the card, and reading and writing them.

- `arrays`: the files besides the weights, such as the offset, the half-widths and the mean
- `bundle`: a verified model; `load_bundle` finds one by name or path, `write_bundle` writes one
- `checkpoint`: published checkpoints, read as tensors only
- `convert`: makes a bundle from a checkpoint, ROI maps and masks
- `facts`: the lines of ``dtg-models info`` on such a model
- `kinds`: the table of the kinds; a new one is a module and a row
- `part`: the part of the card that is specific to models of contrast maps
- `registry`: the published models: their files, cards and training people
- `selftest`: runs simulated rest through a model and checks the maps
"""
