"""The report: what happened in a run, as one HTML page that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.figures import Figures
from pipeline.report.gather import gather
from pipeline.report.page import render
from pipeline.report.verdict import verdict
from pipeline.storage import Folder
from schemas.errors import UserError
from schemas.urls import shown

__all__ = ["Report", "write_report"]

NAME = "report.html"


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        url: of the page.
        bytes: of the page.
        verdict: the result in a sentence; empty where there is no evaluation.
        figures: that it shows.
    """

    url: str
    bytes: int
    verdict: str
    figures: Figures


def write_report(run: str, *, baseline: str | None = None, output: str | None = None) -> Report:
    """Write the report of a run, finished or not.

    Args:
        run: URL of its directory.
        baseline: URL of another run, evaluated on the same samples, to compare its student with.
        output: URL of the page, by default report.html in the run.

    Raises:
        UserError: there is no run, or the baseline cannot be compared.
        BpkdError: a store cannot be reached or refuses.
    """
    figures = gather(run, baseline)
    page = render(figures).encode()
    url = output or f"{run.rstrip('/')}/{NAME}"
    parent, _, name = url.rpartition("/")
    if not name or Folder(url).is_directory():
        raise UserError(f"{url} is a directory; --output takes the file to write, as {url.rstrip('/')}/{NAME}")
    Folder(parent or ("/" if url.startswith("/") else ".")).write(name, page)
    return Report(shown(url), len(page), verdict(figures), figures)
