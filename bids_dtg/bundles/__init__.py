"""Bundles: folders that hold a model of any kind, with everything that its use needs.

Each module imports only those before it:

- `kinds`: the kinds of model
- `card`: the model card in `model.json`, and checks of its fields
- `training_hashes`: the people used to make a model, as hashes
- `store`: where bundles are installed, the published ones, how they are found and checked
- `bundle`: a bundle of any kind, loaded and written
- `fetch`: published models, fetched and made into bundles
- `fitted`: what bundles of models fitted to people's regions share
- `overview`: lines and tables that ``dtg-models`` prints
- `checkpoint`: published checkpoints
"""
