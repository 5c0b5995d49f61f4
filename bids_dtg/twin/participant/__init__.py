"""The participant level: runs to connectomes, and the behaviour of their twins in tasks.

- `array_connectomes`: connectomes from files of arrays
- `behaviour`: figures of predicted and observed behaviour
- `connectome`: the connectome of an average of runs
- `covariates`: columns of the table of participants
- `event_trials`: people's trials, read from the event files of a dataset
- `events`: each participant's event files, and the sequence for participants without one
- `infer`: behaviour of networks in the tasks of an average
- `output_connectomes`: connectomes that the participant level has written
- `people`: people with a connectome and trials
- `request`: atlas, model and event files of a call
- `source`: sources of connectomes, one form for all
- `task_bold`: BOLD of task runs: the runs, their table, and people's
- `worker`: the level: reads runs ahead, averages their edges, runs twins, writes
- `write`: the files of runs and averages, and their records
"""
