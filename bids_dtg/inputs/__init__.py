"""Input data: datasets, participants, runs, anatomy, measured maps and arrays.

Datasets and participants:

- `dataset`: the type of a dataset, and its participants
- `studies`: studies without BIDS names (HCP, UK Biobank), and their runs
- `participants`: tables of participants, with variables, families and the sets of a split

Runs:

- `run`: a resting-state run as files, and the parsing of file names
- `selection`: requested sessions, tasks and BIDS filters
- `runs`: the runs of a participant; refusal of labels that no run has
- `space_choice`: which version of a run is read, and the transforms to it

Behaviour:

- `events`: event files of a raw dataset

Connections:

- `structural`: structural connectomes made by other programs

Arrays:

- `arrays`: participants as arrays, joined from several files
- `rest_sketch`: fingerprints that recognise the same data under another label, order or scale

Anatomy:

- `anatomy`: a participant's T1w image, transforms to templates, and midthickness surfaces
- `templateflow`: TemplateFlow's transforms between templates, and its atlases
- `atlases`: atlases by name, by file and in BIDS datasets of atlases
- `cortex`: cortical maps by region, positions of regions, and their hemispheres

Measured maps:

- `statmaps`: measured contrast maps, found by name and chosen by task, space and session
"""
