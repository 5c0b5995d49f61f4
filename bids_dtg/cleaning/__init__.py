"""What is removed from a run, and which of its frames are kept.

- `strategies`: the table of strategies; a new one is a row
- `table`: the table of confounds and its JSON file, under all names of fMRIPrep
- `columns`: the columns that a strategy takes of a table, and the frames that it censors
- `confounds`: columns to remove and frames to keep
- `aroma`: components of ICA-AROMA, and which of them are noise
- `tedana`: tedana's components of a multi-echo run
- `custom`: tables of confounds that users bring
- `design`: the temporal design: confounds, options and band together
- `words`: what the methods text says of cleaning
"""
