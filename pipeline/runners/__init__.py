"""Runners: where the units of an artifact are made. In this process, in others, or on a cluster."""

from pipeline.runners.base import Job, Opener, Runner, make_runner

__all__ = ["Job", "Opener", "Runner", "make_runner"]
