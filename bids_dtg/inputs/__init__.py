"""Datasets: their participants and runs, and the version of a run that is read.

Datasets and participants:

- `dataset`: the type of a dataset, and its participants
- `studies`: the table of studies without BIDS names (HCP, UK Biobank), and their runs
- `participants`: tables of participants: what is known of them, families, sets of a split

Runs:

- `run`: a resting-state run as files, and what names of files say
- `selection`: sessions, tasks and BIDS filters that were asked for
- `runs`: the runs of a participant, and labels that no run has
- `space_choice`: which version of a run is read, and the transforms to it

Behaviour:

- `events`: event files of a raw dataset

Connections:

- `structural`: structural connectomes that others made: their participants, and what is refused

Arrays:

- `arrays`: people as arrays, joined from several files
- `rest_sketch`: numbers by which rest is known again, whatever its label, order or scale

Anatomy:

- `anatomy`: a participant's T1w image, transforms to templates, and midthickness surfaces
- `templateflow`: transforms between templates, from TemplateFlow
- `atlases`: atlases by name, by file and in BIDS data sets of atlases
- `cortex`: maps of the cortex by region, where regions lie, and their hemispheres

Measured maps:

- `statmaps`: measured contrast maps: found by names, and chosen by task, space and session
"""
