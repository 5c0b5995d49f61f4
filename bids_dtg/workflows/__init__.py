"""What a command does, from inputs to written outputs.

- `participants`: one participant at a time, whatever is made of their runs
- `parcels`: runs as series of an atlas' parcels: what `dynamics` and `twin` share
- `participant`: contrasts: runs to maps, sidecars, tables and reports
- `group`: all participants together: quality table, mean maps, pages
- `modelling`: models of one's own: cohort, fit, train, fine-tune, evaluate, calibrate
- `dynamics`: the network model: trained, judged, simulated, its fixed points found
- `twin`: digital twins: networks made from connectomes that perform tasks
- `run_source`: a run before its frames are read: its cleaning, and voxels in its file
- `columns`: columns of tables explained by patterns of their names
- `output_tables`: tables of regions that the participant level has written
- `people`: people of files of arrays: rows that can be used, and who is for what
- `result_folder`: the folder of one analysis: what it may replace, how it was made
- `demo`: simulated people through the participant level, and their maps beside the truth

`bids_dtg.cli.tables` has the table that says which function runs for which options.
"""
