"""The command-line programs: they turn arguments into settings, and errors into one line.

- `run`: ``bids_dtg`` reads arguments and TOML file, and runs a workflow
- `parser`: its options, other programs' spellings of them, and ``--help``
- `models`: ``dtg-models`` fetches, lists, verifies and converts model bundles
- `phantom`: ``dtg-phantom`` writes datasets of simulated people
- `demo`: ``dtg-demo`` runs a workflow on simulated people and compares with the truth
- `exits`: exit codes, and one-line errors of all programs
"""
