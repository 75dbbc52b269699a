"""What holds for all tests: one thread each, nothing of the user's Prefect, an S3 server that fails when told to."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import hypothesis
import pytest
from tenacity import wait_none

from pipeline.storage import faults

# Read when torch is imported, so before any test module imports it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when Prefect is imported: its server's last words come when the output that they are for is closed.
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

# How long it takes depends on what else the machine does.
hypothesis.settings.register_profile("bpkd", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("bpkd")


def pytest_collection_finish() -> None:
    """Leave what is imported and collected out of garbage collections: every stage ends in one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for a moment is tried again at once."""
    monkeypatch.setattr(faults, "WAIT", wait_none())


@pytest.fixture(autouse=True)
def _own_interrupts() -> Iterator[None]:
    """Ctrl-C does what Python has it do, whatever servers and browsers of tests before have set."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _own_prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect home of one's own, and no server that the environment may name; read when Prefect is imported."""
    home: Path = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.delenv("PREFECT_PROFILE", raising=False)
        yield


class S3:
    """An S3 server on this machine, in front of which requests can be made to fail.

    Attributes:
        url: of a bucket that is this test's own.
        address: of the server.
        requests: method and path of every request of this test, in order.
        failed: how many of them were made to fail.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        self._serve = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._buckets = itertools.count()
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Let everything succeed, in a new bucket."""
        self.requests: list[str] = []
        self.failed = 0
        self._how: Iterator[int | float | str] = iter(())
        self._numbers = itertools.count()
        self.heal()
        self.url = f"s3://bucket-{next(self._buckets)}"

    def fail(self, *how: int | float | str, when: Callable[[int, str], bool] = lambda number, request: True) -> None:
        """From now on, let some requests fail.

        Args:
            how: in turn, an HTTP status to answer with, instead of doing what is asked; or to do it and then "reset"
                the connection, "cut" the body of the answer in half, or take so many seconds (float).
            when: told the number of requests from now on and "METHOD /path", whether this one fails.
        """
        self._how, self._when, self._numbers = itertools.cycle(how), when, itertools.count()

    def heal(self) -> None:
        """From now on, let everything succeed."""
        self._when = lambda number, request: False

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        self.requests.append(request)
        if not self._when(next(self._numbers), request):
            return self._serve(environ, start_response)
        self.failed += 1
        how = next(self._how)
        if isinstance(how, int):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{how} Error", [("Content-Type", "application/xml"), ("Content-Length", "0")])
            return []
        if isinstance(how, float):
            answer = list(self._serve(environ, start_response))
            time.sleep(how)
            return answer
        if how == "reset":
            b"".join(self._serve(environ, lambda status, headers: None))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        body = b"".join(
            self._serve(environ, lambda status, headers: start_response(status, [*headers, ("Connection", "close")]))
        )
        return [body[: len(body) // 2]]


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3]:
    """One for each process that runs tests; the port is whatever is free."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
    server = S3()
    yield server
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # closes their connections
    server.stop()


@pytest.fixture
def s3(_s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """An S3 server with a bucket of one's own; `s3://` means it, for this process and those that it starts."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    _s3_server.reset()
    bucket = _s3_server.url.removeprefix("s3://")
    urllib.request.urlopen(urllib.request.Request(f"{_s3_server.address}/{bucket}", method="PUT")).close()
    yield _s3_server
    _s3_server.reset()


@pytest.fixture
def write_dataset() -> Callable[..., None]:
    """A function (url, format, **details) that writes 6 source images in one shard and 4 climbs from them in another.

    Source sample s0 to s5 has label 0, 1, 2, 0, 1, unknown; auxiliary s0+r01 to s3+r01 have none. The teacher's first
    choice of sample number i is class i % 3, of auxiliary samples always class 2.
    """
    import numpy as np
    import torch

    from pipeline.shards.rows import Climbs, RowFormat, Rows
    from pipeline.storage import Folder, sha256
    from schemas.manifest import MANIFEST, FileEntry, Manifest, pack
    from schemas.registry import FORMATS

    rows = RowFormat("image", "fp16", 3, (1, 4, 5), "classification", class_names=("cat", "dog", "eel"))
    pixels = np.arange(200, dtype=np.uint8).reshape(10, 1, 4, 5)
    logits = 4 * torch.eye(3)[[0, 1, 2, 0, 1, 2, 2, 2, 2, 2]]
    own = Rows([f"s{i}" for i in range(6)], pixels[:6], np.array([0, 1, 2, 0, 1, -1]), logits[:6], np.full(6, True))
    mined = Rows([f"s{i}+r01" for i in range(4)], pixels[6:], np.full(4, -1), logits[6:], np.full(4, False))
    gaps = np.array([1, 2, 3, 4], np.float32)
    climbs = Climbs([f"s{i}" for i in range(4)], 1, gaps, 2 * gaps, np.full(4, 7))
    tables = [rows.encode(own), rows.encode(mined, climbs)]
    spec = {"kind": "image", "codec": "fp16", "width": 3, "shape": [1, 4, 5], "task": "classification"}
    before = {"mean": 2.5, "q25": 1.75, "q50": 2.5, "q75": 3.25}
    gap = {"gap_before": before, "gap_after": {name: 2 * value for name, value in before.items()}}

    def write(url: str, format: str = "parquet", **details: Any) -> None:
        shards = FORMATS.build(format)
        files = []
        for index, (table, source, labelled) in enumerate(zip(tables, (6, 0), (5, 0), strict=True)):
            path, data = f"train-{index:05d}-of-00002.{shards.suffix}", shards.write(table, rows)
            Folder(url).write(path, data)
            counts = {"samples": table.num_rows, "source": source, "labelled": labelled}
            files.append(FileEntry(path=path, bytes=len(data), sha256=sha256(data), **counts))
        promised = {
            "rows": {**spec, "class_names": ["cat", "dog", "eel"]},
            "format": format,
            "split": "train",
            "counts": {"source": 6, "auxiliary": 4, "rounds": [{"round": 1, "samples": 4, "gap": gap}]},
            "provenance": {"teacher": {"factory": "zoo:cnn"}, "mine": {"steps": 7}},
            **details,
        }
        manifest = Manifest(artifact="dataset", bpkd="9.9", files=files, fingerprint={}, details=promised)
        Folder(url).write(MANIFEST, pack(manifest))

    return write


@pytest.fixture(scope="session")
def text_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function (family="bert", words=..., seed=0, tokenizer=True, **config) -> folder of a tiny text classifier.

    Random weights, 2 classes, hidden width 16, 3 layers (or what `config` overrides, under transformers' names, such as
    num_labels), 32 positions, and a fast tokenizer of the kind that the family has. `words` replaces its words: "the
    film is a good bad dull fine story and plot was not very great poor actor scene with no joy". Made once for the same
    arguments; do not change what lies there.

    Families: bert, distilbert, electra (WordPiece), roberta, gpt2, modernbert (bytes), deberta, llama (unigram).
    """
    made: dict[str, Path] = {}

    def make(
        family: str = "bert", *, words: str = _WORDS, seed: int = 0, tokenizer: bool = True, **config: Any
    ) -> Path:
        name = repr((family, words, seed, tokenizer, sorted(config.items())))
        if name not in made:
            made[name] = tmp_path_factory.mktemp(family)
            _write_text_model(made[name], family, words.split(), seed, tokenizer, config)
        return made[name]

    return make


_WORDS = "the film is a good bad dull fine story and plot was not very great poor actor scene with no joy"
_SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
_FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertConfig", "wordpiece", {}),
    "distilbert": ("DistilBertConfig", "wordpiece", {"hidden_dim": 24}),
    "electra": ("ElectraConfig", "wordpiece", {"embedding_size": 12}),
    "roberta": ("RobertaConfig", "bytes", {"max_position_embeddings": 34, "type_vocab_size": 1}),
    "modernbert": ("ModernBertConfig", "bytes", {"global_attn_every_n_layers": 2, "local_attention": 8}),
    "gpt2": ("GPT2Config", "bytes", {}),
    "deberta": ("DebertaV2Config", "unigram", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "llama": ("LlamaConfig", "unigram", {"num_key_value_heads": 1}),
}


def _write_text_model(folder: Path, family: str, words: list[str], seed: int, tokenizer: bool, own: Any) -> None:
    import torch
    import transformers

    config_name, algorithm, extra = _FAMILIES[family]
    segments = ["token_type_ids"] if family in ("bert", "electra") else []
    fast = _tiny_tokenizer(algorithm, words, one_sided=family in ("gpt2", "llama"), segments=segments)
    special = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    sizes = {"vocab_size": len(fast), "max_position_embeddings": 32, **_SIZES, **special, **extra, **own}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = getattr(transformers, config_name)(**sizes)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim > 1:  # wider than the usual 0.02, so that every part shows in the logits
                torch.nn.init.normal_(parameter, std=0.3)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    if tokenizer:
        fast.save_pretrained(folder)


def _tiny_tokenizer(algorithm: str, words: list[str], *, one_sided: bool, segments: list[str]) -> Any:
    """Ids 0 to 3 are unknown, padding, start and end; then words, then letters and other parts of words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    if algorithm == "wordpiece":
        vocabulary = [*special.values(), *dict.fromkeys([*words, *letters]), *("##" + letter for letter in letters)]
        backend = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="<unk>"))
        backend.normalizer = normalizers.BertNormalizer()
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
    elif algorithm == "bytes":
        vocabulary = [*special.values(), *("Ġ" + word for word in words), "Ġ", *dict.fromkeys([*letters, *words])]
        table = {t: i for i, t in enumerate(vocabulary)}
        backend = Tokenizer(models.BPE(table, [], unk_token="<unk>", ignore_merges=True))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
    else:
        known = [(token, 0.0) for token in special.values()] + [("▁" + word, -1.0) for word in words]
        backend = Tokenizer(models.Unigram([*known, *((token, -9.0) for token in ["▁", *letters])], unk_id=0))
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
    pair = "<s> $A </s> </s> $B </s>" if algorithm == "bytes" else "<s> $A </s> $B:1 </s>:1"
    single = "<s> $A" if one_sided else "<s> $A </s>"
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair="<s> $A $B" if one_sided else pair, special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    # Given here they are saved, set afterwards they are not.
    names = ["input_ids", *segments, "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)


@pytest.fixture
def text_config(tmp_path: Path, text_models: Callable[..., Path]) -> Callable[..., Any]:
    """A function (pair=False, **sections) -> config of a tiny run on text, some keys of its sections changed.

    12 labelled sentences in train.parquet and 6 in eval.parquet of `tmp_path`, or pairs of them; a random BERT of 3
    layers as the teacher, 2 of its layers as the student, one round of perturbed embeddings.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.config import parse_config

    values: dict[str, dict[str, Any]] = {
        "run": {"output": "run", "rounds": 1, "device": "cpu"},
        "data": {"kind": "text", "train": "train.parquet", "eval": "eval.parquet", "max_length": 16, "shard_size": 8},
        "teacher": {"factory": f"hf:{text_models()}"},
        "student": {"layers": [0, 2]},
        "mine": {"output": "embedding", "steps": 2, "batch_size": 4, "neighbours": 5, "max_changes": 0.4},
        "train": {"steps": 4, "batch_size": 4},
    }

    def build(*, pair: bool = False, **sections: dict[str, Any]) -> Any:
        for split, count in (("train", 12), ("eval", 6)):
            random = np.random.default_rng(count)
            columns: dict[str, Any] = {
                name: [" ".join(random.choice(_WORDS.split(), random.integers(2, 8))) for _ in range(count)]
                for name in ("sentence1", "sentence2")[: 1 + pair]
            }
            pq.write_table(pa.table({**columns, "label": random.integers(0, 2, count)}), tmp_path / f"{split}.parquet")
        return parse_config(
            {name: {**values.get(name, {}), **sections.get(name, {})} for name in {**values, **sections}}, root=tmp_path
        )

    return build
