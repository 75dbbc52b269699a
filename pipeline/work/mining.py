"""What the climbs of a run need: set up once in the process that mines, and once in each of its workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

import torch
from safetensors.torch import load

from pipeline import layout
from pipeline.artifacts.artifact import read_manifest
from pipeline.artifacts.promised import read_checked
from pipeline.artifacts.units import File, Made
from pipeline.mining.embedding import EmbeddingMap
from pipeline.models import AnyModel, TextModel, fit_weights, freeze
from pipeline.shards.parquet import table_to_parquet
from pipeline.shards.parts import Part, shard_name, source_parts
from pipeline.shards.rows import RowFormat
from pipeline.sources import Samples, open_samples
from pipeline.storage import Folder
from pipeline.storage.cache import disk_cache
from pipeline.work.climbers.base import make_climber
from pipeline.work.climbing import Miner
from pipeline.work.embeddings import read_map
from pipeline.work.expected import Expected
from pipeline.work.read_next import ReadNext
from pipeline.work.setup import open_pair, prepared, row_format
from pipeline.work.training import MODEL
from schemas.config import Config
from schemas.errors import UserError
from schemas.manifest import Manifest
from schemas.registry import CLIMBERS


@dataclass(frozen=True)
class MiningSetup:
    """Both models and the source.

    Attributes:
        config: of the run.
        device: of the models.
        teacher: frozen; of text as it takes the student's shifts.
        student: as the opponent of the round; frozen while there are climbs.
        rows: format of what comes out.
        cache: manifest of the teacher's logits.
        source: the source's chunks with their cached logits; climbs start there.
    """

    config: Config
    device: torch.device
    teacher: AnyModel
    student: AnyModel
    rows: RowFormat
    cache: Manifest
    source: list[Part]

    def miner(self, round_: int) -> Miner:
        """What climbs against the student as it is now, with both models made fast for it."""
        config, rows, device = self.config, self.rows, self.device
        opponent = prepared(config, self.student, rows.kind_, rows.shape)
        climber = make_climber(config, self._fast_teacher, opponent, rows, self.cache, device)
        return Miner(config, self._fast_teacher, opponent, rows, climber, round_, device)

    @cached_property
    def _fast_teacher(self) -> AnyModel:
        return prepared(self.config, self.teacher, self.rows.kind_, self.rows.shape)


class Round:
    """The climbs of one round, shard by shard. What they need is set up with the first: workers elsewhere have theirs.

    Args:
        setup: with the student as the round's opponent, which stays so while there are climbs.
        number: of the round, from 1.
    """

    def __init__(self, setup: MiningSetup, number: int) -> None:
        self.setup, self._number = setup, number
        self._miner: Miner | None = None
        self._lock = Lock()
        self._rows = ReadNext(lambda index: setup.source[index].rows(), len(setup.source))

    def __call__(self, index: int) -> Made:
        """The auxiliary samples of one shard of the source."""
        reading = self._rows.begin(index)  # for the first one the models are prepared meanwhile
        with self._lock:
            miner = self._miner = self._miner or self.setup.miner(self._number)
        mined = miner.mine(reading(), index)
        gaps = mined.table["gap_after"].to_numpy()
        file = File(shard_name(index), table_to_parquet(mined.table), samples=mined.table.num_rows)
        details = {"dropped": mined.dropped, "gap": float(gaps.mean()) if len(gaps) else None}
        return Made([file], mined.failures, details)


@dataclass(frozen=True)
class MineOpener:
    """The climbs of one round in another process, which goes from round to round with the same set-up.

    Attributes:
        cache_url: of the teacher's logits.
        round: number of the round, from 1.
        opponent: SHA-256 of the opponent's file of weights.
        expected: what the worker must find.
    """

    config: Config
    cache_url: str
    round: int
    opponent: str
    expected: Expected

    def open(self, device: torch.device) -> Callable[[int], Made]:
        return self._begin(self._set_up(device))

    def take_over(self, make: Callable[[int], Made]) -> Callable[[int], Made] | None:
        """Climb with the set-up of another round of the same run."""
        if not isinstance(make, _Climbs):
            return None
        same_run = replace(make.opener, round=self.round, opponent=self.opponent) == self
        return self._begin(make.climbs.setup) if same_run else None

    def _begin(self, setup: MiningSetup) -> _Climbs:
        self._load_opponent(setup.student)
        freeze(setup.student)
        return _Climbs(self, Round(setup, self.round))

    def _set_up(self, device: torch.device) -> MiningSetup:
        samples = open_samples(self.config)
        teacher, student, _ = open_pair(self.config, samples, device)
        self.expected.require(samples, student=student, teacher=teacher)
        cache = read_manifest(self.cache_url, "cache CONFIG")
        found = None
        if isinstance(teacher, TextModel):
            url = layout.embeddings(self.config.output)
            found = read_map(url, read_manifest(url, "mine CONFIG"))
        return set_up(self.config, samples, teacher, student, found, self.cache_url, cache, device)

    def _load_opponent(self, student: AnyModel) -> None:
        url = layout.opponent(self.config.output, self.round)
        entry = next(file for file in read_manifest(url, "mine CONFIG").files if file.path == MODEL)
        if entry.sha256 != self.opponent:
            raise UserError(f"a worker finds another opponent in {url} than the run; run.output must be the same place")
        copies = disk_cache(self.config.run.disk_cache_bytes)
        fit_weights(student, load(read_checked(Folder(url), entry, copies)), f"{url}/{MODEL}")


@dataclass(frozen=True)
class _Climbs:
    """What makes the shards of a round in a worker."""

    opener: MineOpener
    climbs: Round

    def __call__(self, index: int) -> Made:
        return self.climbs(index)


def set_up(
    config: Config,
    samples: Samples,
    teacher: AnyModel,
    student: AnyModel,
    found: EmbeddingMap | None,
    cache_url: str,
    cache: Manifest,
    device: torch.device,
) -> MiningSetup:
    """Put together what climbs need.

    Args:
        config: of the run.
        samples: the source.
        teacher, student: as `open_pair` gives them.
        found: the map between their embeddings, where there are any to map.
        cache_url, cache: the teacher's logits of the source.
        device: of the models.
    """
    if found is not None and isinstance(teacher, TextModel) and isinstance(student, TextModel):
        teacher = teacher.carrying(found.matrix, config.mine.carry, student.embeddings)
    rows = CLIMBERS.load(str(config.mine.output)).row_format(row_format(config, samples, cache), config, student)
    return MiningSetup(
        config=config,
        device=device,
        teacher=teacher,
        student=student,
        rows=rows,
        cache=cache,
        source=source_parts(samples, cache_url, cache, rows, disk_cache(config.run.disk_cache_bytes)),
    )
