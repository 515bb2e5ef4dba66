"""Guests: their images, machines, consoles and shells."""
