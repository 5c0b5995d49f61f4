"""What is removed from a run, and which of its frames are kept.

- `strategies`: the table of strategies; a new one is a row; what the methods text says of cleaning
- `table`: the table of confounds and its JSON file, under all names of fMRIPrep
- `confounds`: columns to remove and frames to keep; tables of confounds that users bring
- `noise_components`: components of ICA-AROMA and tedana, and which of them are noise
- `design`: the temporal design: confounds, options and band together
"""
