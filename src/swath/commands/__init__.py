"""One file per kind of command: a light `declare` and the `run` of one unit."""
