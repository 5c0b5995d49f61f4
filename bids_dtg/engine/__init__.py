"""Runs any ``Work(label, reporter) -> result``, side by side. It knows nothing of brains.

What runs work, and what it reports:

- `work`: units of work, the labels that wait for one, and what is reported: where a unit stands
  and how it ended
- `pool`: an executor: processes of this machine, any of which may die
- `ahead`: work in two halves, the first of which runs ahead in a process of its own
- `cluster`: an executor: tasks of a dask scheduler
- `service`: a program that answers requests in the background

What they stand on:

- `child`: how a process begins, what it hears and how it ends
- `machine`: cores and memory that a container or a scheduler leaves this process; how many
  processes work side by side, and their threads
- `gpu`: which device computes: the CPU, or a GPU that PyTorch can use here
"""
