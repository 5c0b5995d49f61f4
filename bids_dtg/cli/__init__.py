"""The commands: arguments to settings, settings to work, errors to one line.

- `run`: ``bids_dtg``: arguments and TOML file to settings, settings to a workflow
- `help`: what ``--help`` prints: an overview, all options, or those that one analysis reads
- `spellings`: how fMRIPrep and XCP-D spell options that mean the same here
- `tables`: the workflows and their analyses, and the values of options that choose a row
- `models`: ``dtg-models``: fetch, list, verify, check and convert bundles
- `phantom`: ``dtg-phantom``: simulated people, written as datasets
- `demo`: ``dtg-demo``: simulated people through the program, beside their truth
- `exits`: how every command ends: exit codes, and errors as one line
"""
