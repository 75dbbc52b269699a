"""Prefect: a run as a flow of stages. Nothing here does work of its own."""
