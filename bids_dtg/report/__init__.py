"""Reports: pages that a browser shows, and the methods text.

A report is made from what the output folder holds, by a process of its own
(``python -m bids_dtg.report``), and needs nothing of the run that made the maps.

- `pages`: one page a module: participant, analysis, index, and what they share
- `presentation`: how a workflow presents its results: words, quality columns, panels, sections
- `panels`: what panels are made of, and the panel that every workflow shows
- `parcels`: panels of the parcels of an atlas, in every workflow that reads them
- `parcel_words`: what is said of parcels, and their columns of the quality table
- `contents`: what the output folder holds of a participant
- `quality`: the quality table of a run
- `inclusion`: inclusion in averages over people, by decisions made on a page
- `flags`: what a reader must know before looking at the maps
- `methods`: the methods text, with its citations
- `figures`: figures of a page: charts as SVG, heat maps, pictures
- `numbers`: numbers as readers of a page see them
- `pictures`: pictures of maps and matrices: slices and glass brains
- `surface_views`: values at vertices, on both sides of each hemisphere
- `colours`: colour scales of pictures, bars and viewer
- `demo`: what demos share: from simulated people to a picture, and the sheet it is drawn on
- `viewer`: what the viewer of maps needs beside a page
"""
