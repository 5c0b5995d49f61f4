"""First-level analysis of task runs, one run at a time.

- `analysis`: maps of task runs, for people who have none
- `design_matrix`: a picture of a run's design
- `estimate`: a design, its fit, and runs put together
- `files`: the files of maps
- `page`: the page on the quality of runs and designs
- `tables`: the tables on the quality of runs and designs
- `task_run`: reads a task run: trials, confounds, design, series
"""
