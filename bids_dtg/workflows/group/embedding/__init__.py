"""People and their maps as points.

- `layouts`: components, UMAP and clusters of everybody's numbers
- `figures`: these as rows of tables; who is typical and who is not
- `page`: the answer in words, tables of figures, and the plot
- `embed`: the analysis
"""
