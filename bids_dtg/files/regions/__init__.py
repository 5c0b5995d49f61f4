"""Tables of regions: their series and what is between them, and matrices that others wrote.

- `series`: a column a region, a row a frame (`_timeseries.tsv`)
- `relmat`: a row and a column a region (`_relmat.tsv`)
- `nodes`: what the rows of matrices are, in a table of its own
- `cells`: numbers as the cells of such tables have them
"""
