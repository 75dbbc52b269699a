"""Prefect: the run as a flow of stages. Nothing here does work of its own."""

import os

# Nobody is told of a run, whoever imports its flows: the command line, or a worker that runs a deployment.
os.environ.setdefault("DO_NOT_TRACK", "1")
