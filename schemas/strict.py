"""Models of what may come from anyone: what they do not know is refused, at a cost that does not grow with it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

_MOST_KEYS = 64


def few_keys(values: Any) -> Any:
    """Refuse a mapping with so many keys that naming each as unknown would fill the memory."""
    if isinstance(values, dict) and len(values) > _MOST_KEYS:
        raise ValueError(f"{len(values)} keys, {_MOST_KEYS} at most")
    return values


FewKeys = BeforeValidator(few_keys)


class Strict(BaseModel):
    """Unknown keys are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, values: Any) -> Any:
        return few_keys(values)
