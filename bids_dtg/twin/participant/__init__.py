"""The participant level: runs to connectomes, and the behaviour of their twins in tasks.

- `behaviour`: behaviour in the tasks of an average, of twins and of the person
- `connectomes`: sources of connectomes: files of arrays, or what this level has written
- `covariates`: people's covariates, from the table of participants
- `events`: people's trials, read from the event files of a dataset
- `request`: atlas, model and event files that were asked for
- `task_bold`: BOLD of task runs: the runs, their table, and people's
- `twin_participants`: people with a connectome and trials
- `worker`: the level: reads runs ahead, averages their edges, runs twins, writes
- `write`: the files of runs and averages, and their records
"""
