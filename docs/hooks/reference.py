"""Reference pages from the code: the keys of a config, the commands, and what registries list. Markdown out."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import tomlkit
from pydantic import BaseModel

from cli.main import bpkd
from schemas import registry
from schemas.config import Config, parse_config
from schemas.registry import Registry
from schemas.starter import KINDS, starter

ROOT = Path(__file__).parents[2]

# --- the keys of a config ------------------------------------------------------------------------------------------


def config_keys() -> str:
    """Every key of every section with its default, what it takes and what it means."""
    return "\n".join(
        line for name, field in Config.model_fields.items() for line in _section(name, _model(field.annotation))
    )


def _section(path: str, section: type[BaseModel]) -> Iterator[str]:
    yield f"## [{path}] {{ #{path} }}\n"
    properties = section.model_json_schema()["properties"]
    defaults = _differing(path)
    for name, field in section.model_fields.items():
        key = f"{path}.{name}"
        if (nested := _model(field.annotation)) is not BaseModel:
            yield from _section(key, nested)
            continue
        yield f"### {key} {{ #{key} }}\n"
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        yield f"{_sentence(field.description or '')}\n"
        yield f"takes {takes(properties[name])} · {default}{defaults.get(name, '')}\n{{ .takes }}\n"


def _default(value: Any) -> str:
    return "not set by default" if value is None else f"default `{toml(value)}`"


def _differing(section: str) -> dict[str, str]:
    """What a kind of data changes in the defaults of a section."""
    from tomllib import loads

    configs = {kind: getattr(parse_config(loads(starter(kind))), section, None) for kind in KINDS}
    usual = configs["image"]
    if usual is None or section not in ("mine", "train", "export"):
        return {}
    return {
        name: f"; for {kind} `{toml(value)}`"
        for kind, config in configs.items()
        for name, value in config
        if value is not None and value != getattr(usual, name)
    }


def takes(schema: Mapping[str, Any]) -> str:
    """What a value of a JSON Schema may be, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(takes(form) for form in schema["anyOf"] if form.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{toml(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("pattern") == ":":
        return "your own `package.module:Name`"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return " ".join(["a whole number" if kind == "integer" else "a number", *_limits(schema)])
    if kind == "array":
        items = schema.get("prefixItems")
        return f"a list of {len(items)}: {takes(items[0])}" if items else f"a list: {takes(schema.get('items', {}))}"
    return {"string": "text", "boolean": "`true` or `false`", "object": "a table"}.get(str(kind), "anything")


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None or above is not None:
        yield f"above {above:g}" if low is None else f"from {low:g}"
    if below is not None or (high is not None and high < 2**53):
        yield f"to below {below:g}" if high is None else f"to {high:g}"


def toml(value: Any) -> str:
    """A value as a config would have it, on one line."""
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return table.as_string()
    return str(tomlkit.item(value).as_string())


def _model(annotation: Any) -> type[BaseModel]:
    """The section that a field holds; a model without fields when it is no section."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else BaseModel


# --- the commands --------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command as its --help has it."""
    top = click.Context(bpkd, info_name="bpkd")
    parts = ["## bpkd", *_command(bpkd, top)]
    for name in bpkd.list_commands(top):
        command = bpkd.get_command(top, name)
        assert command is not None
        parts += [f"## bpkd {name}", *_command(command, click.Context(command, info_name=name, parent=top))]
    return "\n\n".join(parts)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _prose(command.help or "")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f'```sh title="Usage"\n{usage}\n```'
    records = [record for option in command.get_params(context) if (record := option.get_help_record(context))]
    rows = "\n".join(f"| `{option}` | {_cell(text)} |" for option, text in records if text)
    yield f"| option | |\n|---|---|\n{rows}"
    notes, _, example = (command.epilog or "").partition("\b\nExample:\n")
    if notes.strip():
        yield _prose(notes)
    if example:
        yield f'```sh title="Example"\n{textwrap.dedent(example).strip()}\n```'


def _prose(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", textwrap.dedent(text).strip()))


# --- registries ----------------------------------------------------------------------------------------------------


def registries() -> str:
    """What each registry lists, with the first lines of the code behind every name."""
    keys = _keys_of_registries()
    parts = []
    for name, known in vars(registry).items():
        if not isinstance(known, Registry):
            continue
        title = known.what[0].upper() + known.what[1:]
        where = f"`{keys[name]}`" if name in keys else '`factory = "zoo:NAME"`'
        rows = "\n".join(f"| `{entry}` | {_cell(about)}<br>`{code}` |" for entry, code, about in _entries(known))
        parts.append(f"## {title}\n\nNamed by {where}.\n\n| name | |\n|---|---|\n{rows}")
    return "\n\n".join(parts)


def _entries(known: Registry) -> Iterator[tuple[str, str, str]]:
    """(name, code, first paragraph of its docstring) of every entry; nothing is imported."""
    for entry in known.names:
        code = known.target(entry)
        module, _, attribute = code.partition(":")
        path = ROOT / f"{module.replace('.', '/')}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = next(node for node in tree.body if getattr(node, "name", None) == attribute)
        assert isinstance(found, ast.ClassDef | ast.FunctionDef)
        yield entry, code, (ast.get_docstring(found) or "").partition("\n\n")[0]


def _keys_of_registries() -> dict[str, str]:
    """Registry -> the config key that names an entry of it, found by the names that the key takes."""
    keys: dict[str, str] = {}
    for section, field in Config.model_fields.items():
        for name, schema in _model(field.annotation).model_json_schema()["properties"].items():
            for level in (schema, schema.get("items", {})):
                names = [tuple(form.get("enum", ())) for form in level.get("anyOf", ())]
                for known, value in vars(registry).items():
                    if isinstance(value, Registry) and value.names in names:
                        keys.setdefault(known, f"{section}.{name}")
    return keys


def _cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    return (text + ("" if text.endswith(".") else ".")).replace("<", "&lt;")
