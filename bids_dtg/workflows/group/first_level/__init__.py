"""First-level analysis of task runs, one run at a time.

- `task_run`: a task run as it is read: trials, confounds, design, series
- `estimate`: a design, its fit, and runs put together
- `files`: the maps that come of it
- `tables`, `page`: how good runs and designs are
"""
