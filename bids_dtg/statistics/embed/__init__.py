"""People and their maps as points.

- `analysis`: runs the analysis
- `figures`: layouts as rows of tables; typical and atypical people
- `layouts`: components, UMAP and clusters of everybody's numbers
- `page`: the answer in words, tables of figures, and the plot
- `plot`: the interactive plot of the points
"""
