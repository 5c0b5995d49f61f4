"""Bundles of any kind: folders that hold a model and all that its use needs.

- `bundle`: a verified model of any kind; written or fetched whole, or not at all
- `card`: what a bundle says about itself, in `model.json`, whose fields it checks
- `kinds`: what is known of any kind of model and of published ones, and the look-up of all
- `fitted`: what bundles of models fitted to people's regions share
- `people`: the people used to make a model, as hashes
- `store`: where bundles are installed, and how they are found
- `overview`: lines and tables that ``dtg-models`` prints
- `checkpoint`: a public name of `bids_dtg.contrasts.bundle.checkpoint`
"""
