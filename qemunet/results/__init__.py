"""Runs on disk: their record, and the verdict on their timing."""
