"""Options that are fields of a model of ``ml``: their meaning and limits stand there alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

Asked = TypeVar("Asked", bound=BaseModel)


def meaning(model: type[BaseModel], name: str) -> str:
    """What a field means, as help."""
    return str(model.model_fields[name].description)


def asked(model: type[Asked], given: Mapping[str, Any]) -> Asked:
    """What was given, checked; the first field that cannot be so is a wrong argument."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        name = ".".join(map(str, first["loc"])).replace("_", "-")
        raise typer.BadParameter(first["msg"], param_hint=name) from error


def given(**options: Any) -> dict[str, Any]:
    """Those options that were given at all."""
    return {name: value for name, value in options.items() if value is not None}
