"""People and their maps as points.

- `analysis`: the analysis
- `figures`: these as rows of tables; who is typical and who is not
- `layouts`: components, UMAP and clusters of everybody's numbers
- `page`: the answer in words, tables of figures, and the plot
- `plot`: people and their maps as points, to be looked at by hand
"""
