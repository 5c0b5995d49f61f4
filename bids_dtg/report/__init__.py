"""Reports: HTML pages and the methods text.

A report is made only from the files in the output folder, by a separate process
(``python -m bids_dtg.report``), so it can be remade at any time.

- `page`: pages made of sections of text, tables and figures, by templates
- `tables`: tables of a page, with intervals and marks, and how pages write numbers
- `figures`: figures of a page: charts as SVG, heat maps, pictures, lanes over frames
- `pictures`: pictures of maps and matrices (slices, surfaces, glass brains), and colour scales
- `viewer`: the files that the map viewer needs beside a page
- `presentation`: how a workflow presents its results: texts, quality columns, panels, sections
- `panels`: panels of runs that several workflows share
- `participant`: the reports of participants, and the index page
- `contents`: the files of a participant in the output folder
- `quality`: the quality table of a run
- `rows`: rows of tables over participants, in the page or in a script beside it
- `inclusion`: decisions, made on pages, on who is included in group averages
- `flags`: problems, warnings and notes on a participant's results
- `methods`: the methods text, with its citations
"""
