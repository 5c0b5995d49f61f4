"""First-level analysis of task runs, one run at a time.

- `analysis`: maps of task runs, for people who have none
- `design_matrix`: the design of a run
- `estimate`: a design, its fit, and runs put together
- `files`: the maps that come of it
- `page`: how good runs and designs are
- `tables`: how good runs and designs are
- `task_run`: a task run as it is read: trials, confounds, design, series
"""
