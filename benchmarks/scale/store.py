"""Requests to an object store, counted at a local S3 server. Their latency is another matter: that of a real store."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.artifacts.artifact import Artifact
from pipeline.artifacts.units import File, Made
from pipeline.shards.parts import shard_name


@dataclass(frozen=True)
class Requests:
    """To the store, per shard.

    Attributes:
        unit: of the worker that writes it.
        commit: of the process that makes the artifact, when it takes it in.
        finish: of the same, at the end.
    """

    unit: float
    commit: float
    finish: float


def store_requests(shards: int) -> Requests:
    """Requests of a real artifact; to be called in a process of its own, as it sets the environment."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            pass

    counts = Counter[str]()
    phase = ["begin"]
    serve = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        counts[phase[0]] += 1
        found: Iterable[bytes] = serve(environ, start)
        return found

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    os.environ |= {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    urllib.request.urlopen(urllib.request.Request(f"{address}/scale", method="PUT")).close()
    with Artifact("s3://scale/run", "teacher-logits", {}) as artifact:
        target = artifact.target()
        names = [shard_name(index) for index in range(shards)]
        for name in names:
            phase[0] = "unit"
            report = target.write(Made([File(name, b"0" * 1000)]))
            phase[0] = "commit"
            artifact.commit(name, report.files)
        phase[0] = "finish"
        artifact.finish(names)
    server.shutdown()
    return Requests(**{name: counts[name] / shards for name in ("unit", "commit", "finish")})
