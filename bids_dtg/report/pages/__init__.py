"""Pages, each made from what the output folder holds.

- `page`: what all pages share: templates, styles and scripts
- `participant`: the report of a participant
- `analysis`: the page of an analysis: tables and charts, section by section
- `index`: the index at the root of the output
"""
