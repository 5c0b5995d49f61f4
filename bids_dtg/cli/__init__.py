"""The commands: arguments to settings, settings to work, errors to one line.

- `run`: ``bids_dtg``: arguments and TOML file to settings, settings to a workflow
- `parser`: its options, other programs' spellings of them, and what ``--help`` prints
- `models`: ``dtg-models``: fetch, list, verify, check and convert bundles
- `phantom`: ``dtg-phantom``: simulated people, written as datasets
- `demo`: ``dtg-demo``: simulated people through the program, beside their truth
- `exits`: how every command ends: exit codes, and errors as one line
"""
