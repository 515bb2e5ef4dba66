"""The ns-3 worker process and its client: the only part that knows ns-3."""
