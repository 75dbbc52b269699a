"""Copying a finished artifact from one place to another, so that nobody sees half of it."""

from pipeline.transfer.copying import Transferred, transfer

__all__ = ["Transferred", "transfer"]
