"""The JSON Schemas of config and manifest, which give editors completion: `python -m schemas.generate [--check]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from schemas.config import Config
from schemas.manifest import Manifest

FOLDER = Path(__file__).parent
MODELS: dict[str, type[BaseModel]] = {"config.schema.json": Config, "manifest.schema.json": Manifest}


def render(model: type[BaseModel]) -> str:
    """The JSON Schema (draft 2020-12) of what `model` accepts."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def stale() -> list[Path]:
    """The schema files that are missing or differ from the models."""
    files = {FOLDER / name: render(model) for name, model in MODELS.items()}
    return [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def main(arguments: Sequence[str]) -> int:
    """Write what is stale, or with `--check` only name it; the exit code is 1 when a check finds something."""
    check = "--check" in arguments
    for path in (outdated := stale()):
        if not check:
            path.write_text(render(MODELS[path.name]), encoding="utf-8")
        print(f"{path.name} {'is out of date; run make schemas' if check else 'written'}")
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
