"""Training, evaluation and use of models, from people's rest and measured maps.

- `cohort`: participants with rest and measured maps, found by file names
- `reading`: their arrays, computed in several processes, kept and memory-mapped
- `evaluate`: compares a model's maps with measured ones and with simple models
- `group`: all participants of an output: what is read, and what is written from it
- `finetune`: adapts a trained network to other people or other contrasts
- `fit`: fits a model of any kind, re-centres it and writes it as a bundle
- `judge`: scores several models on the same people; tables and the page
- `measured`: files of the measured maps, and quality findings in them
- `roi_maps`: ROI maps of a model to be trained
- `training_set`: participants in a model's training set, recognised by hashes
- `splits`: training, validation and test sets, and the folds of a cross-validation
- `train`: fits a model and scores it on other people, by cross-validation if there are few
"""
