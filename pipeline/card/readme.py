"""README.md: front matter that the Hugging Face hub reads, and a body for people."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import yaml

from pipeline.card.facts import Facts
from pipeline.card.features import hub_features
from pipeline.card.licenses import front_matter
from pipeline.card.markdown import block, code, escaped, link, number
from pipeline.card.tables import classes_table, examples_table, models_table, rounds_table

_TASKS = {
    ("image", "classification"): "image-classification",
    ("text", "classification"): "text-classification",
    ("text", "regression"): "text-classification",
    ("array", "classification"): "tabular-classification",
    ("array", "regression"): "tabular-regression",
}

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("pipeline", "card"),
    undefined=jinja2.StrictUndefined,
    finalize=escaped,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters.update(block=block, code=code, link=link, n=number)


def readme(facts: Facts, sheet: str | None) -> str:
    """The card.

    Args:
        facts: of the data set.
        sheet: name of the contact sheet beside it, where there is one.
    """
    features, source = hub_features(facts.rows, facts.details.format), facts.told("source")
    body = _TEMPLATES.get_template("README.md.jinja").render(
        facts=facts,
        details=facts.details,
        counts=facts.details.counts,
        kind=facts.details.rows.kind,
        told=facts.told,
        mine=facts.told("mine") or {},
        sheet=sheet,
        columns=[entry["name"] for entry in features or () if not entry["name"].startswith("__")],
        source=", ".join(source) if isinstance(source, list) else source,
        settings=_settings(facts),
        examples=examples_table(facts),
        rounds=rounds_table(facts),
        classes=classes_table(facts),
        models=models_table(facts),
    )
    matter = yaml.safe_dump(_front_matter(facts, features), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{matter}---\n\n{body}"


def _front_matter(facts: Facts, features: list[dict[str, Any]] | None) -> dict[str, Any]:
    details = facts.details
    return {
        "pretty_name": " ".join(facts.name.split()),
        **front_matter(facts.told("license")),
        "task_categories": [_TASKS.get((details.rows.kind, details.rows.task), "other")],
        "size_categories": [facts.size_category],
        "tags": ["bpkd", "knowledge-distillation", *(["synthetic"] if details.counts.auxiliary else [])],
        "configs": [{"config_name": "default", "data_files": [{"split": details.split, "path": facts.pattern}]}],
        "dataset_info": {
            **({} if features is None else {"features": features}),
            # `datasets` counts what it loads against these; bytes in memory, which it asks for too, are not known.
            "splits": [{"name": details.split, "num_bytes": facts.bytes, "num_examples": facts.samples}],
            "download_size": facts.bytes,
            "dataset_size": facts.bytes,
        },
    }


def _settings(facts: Facts) -> str | None:
    """Those of mining and training, as JSON."""
    told = {name: facts.told(name) for name in ("mine", "train")}
    settings = {name: {k: v for k, v in part.items() if v is not None} for name, part in told.items() if part}
    return json.dumps(settings, indent=1) if settings else None
