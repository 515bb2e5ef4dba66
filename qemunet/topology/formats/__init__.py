"""Formats other than the text: each read into the same statements, and written from the same model."""
