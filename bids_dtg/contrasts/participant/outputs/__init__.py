"""Files of an average of contrast maps.

- `choice`: which contrasts and kinds of results are written
- `maps`: maps with their one sidecar, means over atlases, and the model's half-widths
- `spaces`: further spaces that maps are written in
- `surfaces`: maps at the vertices of surfaces, and as grayordinates
- `write`: writes all of an average and of its runs, and records that it is complete
"""
