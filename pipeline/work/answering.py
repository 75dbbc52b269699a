"""What models say of the samples of a source, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from pipeline.models import AnyModel
from pipeline.sources import Block, Chunk, Samples
from pipeline.work.setup import autocast, check_labels, predict
from schemas.config import Config


def answered(
    config: Config, samples: Samples, models: Sequence[AnyModel], width: int
) -> Iterator[tuple[Chunk, Block, list[torch.Tensor]]]:
    """Each chunk with its samples and, where some can be read, (N, K) logits of every model.

    Args:
        config: of the run; its precision holds.
        samples: of a source.
        models: frozen.
        width: K, which labels must be below.

    Raises:
        UserError: a label is none of the teacher's classes, or a file is damaged.
    """
    for chunk in samples.chunks:
        block = samples.read(chunk)
        check_labels(block, width)
        outputs = []
        for model in models if block.keys else ():
            with autocast(config, model.device):
                outputs.append(predict(model, samples.kind, block.stored, config.cache.batch_size, model.device))
        yield chunk, block, outputs
