"""Statistics of people that a bundle keeps in small files, each with a field in the card.

- `parcels`: how wide intervals around parcel means are, by atlas
"""
