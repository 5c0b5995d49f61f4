"""Models of one's own: made from people's rest and measured maps, and judged by them.

The people and their arrays:

- `source`: what an analysis asks of the data, and datasets of runs and maps as such
- `array_source`: people as arrays as such
- `cohort_plan`: who has rest and measured maps, by the names of the files alone
- `cohort`: makes the arrays of these people side by side, where they are missing
- `person_arrays`: connectomes and measured maps as arrays on disk, memory-mapped
- `measured`: which files the measured maps are of, and what is wrong with them
- `splits`: who is trained on, validated on, calibrated on and tested on
- `seen`: whom a model has seen, recognised by hashes

The analyses, each called from `bids_dtg.cli.tables`:

- `train`: fits a model, scores it on other people and writes it as a bundle
- `finetune`: adapts a trained network to other people or other contrasts
- `evaluate`: compares a model's maps with measured ones, beside simple models
- `predict`: maps of people who come as arrays
- `calibrate`: intervals of a model, from people whom it has not seen

What they share:

- `analysis`: an analysis: its call, its folder, a model that is there already, its tables
- `ridge`: how strong the ridge of partial connectomes is, chosen on the people who train
- `fit`: fits a model of any kind, re-centres it, and learns what is usual of people's rest
- `baselines`: simple models that a model is printed beside
- `score`: models side by side on the same people: scores, intervals, tests
"""
