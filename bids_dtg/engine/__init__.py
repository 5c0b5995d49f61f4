"""Runs any ``Work(label, reporter) -> result`` in parallel. It knows nothing about brains.

Running work:

- `work`: units of work, the queue of their labels, and the reports of their progress and end
- `pool`: an executor that uses processes of this machine, any of which may die or be stuck
- `ahead`: work in two halves; a separate process does the first half ahead of the second
- `cluster`: an executor that uses the tasks of a dask scheduler

Processes and resources:

- `child`: how child processes start, handle signals and end
- `machine`: cores and memory that a container or scheduler leaves this process; the number of
  parallel processes and threads; the device that computes (CPU, or a GPU that PyTorch can use)
"""
