"""What a command does, from inputs to written outputs.

- `participant`: one participant at a time: runs to maps, sidecars, tables and reports
- `group`: all participants together: quality table, mean maps, pages
- `modelling`: models of one's own: cohort, fit, train, fine-tune, evaluate, calibrate
- `dynamics`: the network model: trained, judged, simulated, its fixed points found
- `twin`: digital twins: networks made from connectomes that perform tasks
- `columns`: columns of tables explained by patterns of their names
- `people`: people of files of arrays: rows that can be used, and who is for what
- `result_folder`: the folder of one analysis: what it may replace, how it was made
- `demo`: simulated people through the participant level, and their maps beside the truth

`bids_dtg.cli.tables` has the table that says which function runs for which options.
"""
