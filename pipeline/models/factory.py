"""From the name of a factory in the config to a freshly built model."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from pipeline.models.messages import one_line
from schemas.errors import UserError
from schemas.registry import ZOO

if TYPE_CHECKING:
    from collections.abc import Iterator

ZOO_PREFIX = "zoo:"
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def build_model(
    factory: str,
    kwargs: Mapping[str, Any],
    defaults: Mapping[str, Any],
    locate: Callable[[str], str],
    *,
    role: str,
) -> nn.Module:
    """Call the factory that a config names.

    Args:
        factory: `zoo:NAME`, `package.module:callable` or `path/to/file.py:callable`.
        kwargs: the config's arguments for it.
        defaults: arguments known from the data. A zoo model gets those that it takes and `kwargs` leaves out; any other
            factory only those that it requires, as a default in its own signature is its author's word.
        locate: makes a path of the config absolute.
        role: section of the config, for messages.

    Raises:
        UserError: the factory cannot be imported or called with these arguments, fails, or returns no nn.Module.
    """
    where = f"{role}.factory = {factory!r}"
    zoo = factory.startswith(ZOO_PREFIX)
    takes = f"zoo:NAME ({', '.join(ZOO.names)}), package.module:callable or path/to/file.py:callable"
    function = _zoo(factory.removeprefix(ZOO_PREFIX), where) if zoo else resolve(factory, locate, where, takes=takes)
    arguments = _arguments(function, kwargs, defaults, zoo=zoo, where=where, role=role)
    try:
        model = function(**arguments)
    except UserError as error:
        raise UserError(f"{where}: {error}; change {role}.kwargs") from error
    except Exception as error:
        raise UserError(f"{where}: called with {_listed(arguments)} it raised {one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"{where}: returns {type(model).__name__}; must return a torch.nn.Module")
    return model


def resolve(factory: str, locate: Callable[[str], str], where: str, *, takes: str) -> Callable[..., Any]:
    """Import the callable that `factory` names; a file's code runs only here, because the config names it.

    Args:
        factory: `package.module:callable` or `path/to/file.py:callable`.
        locate: makes a path of the config absolute.
        where: the setting, for messages.
        takes: the forms that the setting may have, for messages.

    Raises:
        UserError: it does not import, has no such attribute, or is not callable.
    """
    module_name, colon, attribute = factory.rpartition(":")
    if not (colon and module_name and attribute):
        raise UserError(f"{where}: takes {takes}")
    module = _import(module_name, locate, where)
    if not hasattr(module, attribute):
        raise UserError(f"{where}: {module_name} has no {attribute!r}; it has {_listed(_callables(module))}")
    found = getattr(module, attribute)
    if isinstance(found, nn.Module) or not callable(found):
        raise UserError(f"{where}: is of type {type(found).__name__}; must be a class or function to call")
    return found  # type: ignore[no-any-return]


def refuse_lazy(model: nn.Module, where: str) -> None:
    """Refuse a model with layers that get their sizes from the first inputs.

    Raises:
        UserError: it has one.
    """
    tensors = chain(model.named_parameters(), model.named_buffers())
    lazy = next((name for name, tensor in tensors if is_lazy(tensor)), None)
    if lazy is not None:
        raise UserError(f"{where}: {lazy!r} is of a lazy layer; give every layer its sizes")


def _zoo(name: str, where: str) -> Callable[..., Any]:
    try:
        return ZOO.load(name)  # type: ignore[no-any-return]
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _import(name: str, locate: Callable[[str], str], where: str) -> ModuleType:
    is_file = name.endswith(".py")
    path = Path(locate(name)) if is_file else None
    if path is not None and not path.is_file():
        raise UserError(f"{where}: no such file {path}")
    try:
        return importlib.import_module(name) if path is None else _load_file(path)
    except Exception as error:
        remedy = "" if is_file else "; install it, or name its file as path/to/file.py:callable"
        raise UserError(f"{where}: does not import: {one_line(error)}{remedy}") from error


def _load_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own; it may import its neighbours."""
    name = f"_bpkd_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and get_type_hints look their module up here.
    sys.modules[name] = module
    try:
        with _searching(path.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _searching(folder: Path) -> Iterator[None]:
    """Look for modules in `folder` too, after everything that is installed, so that it hides nothing."""
    if str(folder) in sys.path:
        yield
        return
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _arguments(
    function: Callable[..., Any],
    kwargs: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    zoo: bool,
    where: str,
    role: str,
) -> dict[str, Any]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some callables written in C have none
        return dict(kwargs)
    parameters = {n: p for n, p in signature.parameters.items() if p.kind not in _COLLECTING}
    fillable = {n for n, p in parameters.items() if zoo or p.default is inspect.Parameter.empty}
    arguments = {**{n: value for n, value in defaults.items() if n in fillable}, **kwargs}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise UserError(f"{where}: {role}.kwargs do not fit: {error}; it takes {_listed(parameters)}") from None
    return arguments


def _callables(module: ModuleType) -> list[str]:
    return [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]


def _listed(names: Mapping[str, Any] | list[str]) -> str:
    return ", ".join(names) or "nothing"
