"""The version of the program, which the package's build reads from here, and its authors."""

__version__ = "0.1.0a1"
AUTHORS = ("The bids_dtg developers",)
