"""Several processes of one command, started by torchrun or `accelerate launch`: rank 0 speaks for all."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from pipeline.work.launch import rank, world_size
from schemas.errors import UserError


def only_train(command: str) -> None:
    """Refuse every other command in several processes, each of which would do all of it.

    Raises:
        UserError: it is another command, and this process is one of several.
    """
    if world_size() > 1 and command != "train":
        raise UserError(
            f"torchrun and accelerate launch are for `bpkd train`; start `bpkd {command}` as one process "
            f"(here WORLD_SIZE = {world_size()})"
        )


@contextmanager
def quiet_but_first() -> Iterator[None]:
    """Within it, other ranks than the first print no result and no warning; what they print on stderr is an error."""
    if rank() == 0:
        yield
        return
    before = logging.root.manager.disable
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
