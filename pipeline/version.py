"""The installed version of bpkd."""

from importlib.metadata import version

VERSION = version("bpkd")
