"""Killing everything while people trade, and an independent look at what is left: `make chaos`."""
