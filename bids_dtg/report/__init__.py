"""Reports: pages that a browser shows, and the methods text.

A report is made from what the output folder holds, by a process of its own
(``python -m bids_dtg.report``), and needs nothing of the run that made the maps.

- `pages`: one page a module: participant, analysis, index
- `panels`: what panels are made of, and the panel that every workflow shows
- `presentation`: how a workflow presents its results: words, quality columns, panels, sections
- `parcels`: what pages show of the parcels of an atlas, in every workflow that reads them
- `contents`: what the output folder holds of a participant
- `quality`: the quality table of a run
- `inclusion`: inclusion in averages over people, by decisions made on a page
- `flags`: what a reader must know before looking at the maps
- `methods`: the methods text, with its citations
- `figures`: figures of a page: charts as SVG, heat maps, pictures
- `numbers`: numbers as readers of a page see them
- `pictures`: pictures of maps and matrices
- `slices`: slices through volumes
- `surface_views`: values at vertices, on both sides of each hemisphere
- `colours`: colour scales of pictures, bars and viewer
- `glass_brain`: a map of voxels, seen through the brain
- `demo`: what demos share: from simulated people to a picture, and the sheet it is drawn on
- `viewer`: what the viewer of maps needs beside a page
"""
