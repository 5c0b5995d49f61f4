"""The version of the program; the package's build reads it from here."""

__version__ = "0.1.0a1"
