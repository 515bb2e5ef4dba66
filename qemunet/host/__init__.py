"""What a Run needs of the Linux computer it runs on: namespaces, processes, bridges, taps, requirements."""
