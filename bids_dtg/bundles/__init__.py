"""Bundles: folders that hold a model of any kind, with everything that its use needs.

- `bundle`: loads, verifies, writes and fetches bundles
- `card`: the model card in `model.json`, and checks of its fields
- `kinds`: the kinds of model, and the published models
- `fitted`: what bundles of models fitted to people's regions share
- `people`: the people used to make a model, as hashes
- `store`: where bundles are installed, and how they are found
- `overview`: lines and tables that ``dtg-models`` prints
- `checkpoint`: the public name of `bids_dtg.contrasts.bundle.checkpoint`
"""
