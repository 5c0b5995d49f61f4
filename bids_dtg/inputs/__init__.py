"""Datasets: their participants and runs, and the version of a run that is read.

Datasets and participants:

- `dataset`: the type of a dataset, and its participants
- `selection`: sessions, tasks and runs that were asked for, filters, and the file of each run
- `participants`: tables of participants: what is known of them, families, sets of a split

Runs:

- `run`: a resting-state run as files
- `find`: runs and anatomy of any type of input, and labels that no run has
- `runs`: runs of BIDS derivatives (fMRIPrep, XCP-D)
- `index`: what a BIDS filter file leaves of a participant's files, by pybids
- `studies`: the table of studies without BIDS names (HCP, UK Biobank), and their runs

Behaviour:

- `events`: event files of a raw dataset, and files that describe a task

Connections:

- `structural`: structural connectomes that others made: their participants, and what is refused

Arrays:

- `arrays`: people as arrays, joined from several files
- `rest_sketch`: numbers by which rest is known again, whatever its label, order or scale

Spaces:

- `space_choice`: which version of a run is read, and the transforms to it
- `anatomy`: a participant's T1w image, its brain mask, and transforms to templates
- `surfaces`: midthickness surfaces, and the transforms to the model's space
- `templateflow`: transforms between templates, from TemplateFlow
- `regions`: atlases, and what is known of regions of the brain

Measured maps:

- `statmaps`: measured contrast maps: found by names, and chosen by task, space and session
"""
