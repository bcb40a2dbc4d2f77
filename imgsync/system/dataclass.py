"""
Make dataclasses whose methods are compiled when first called.

The standard decorator compiles up to ten methods of each class at import, which took a fifth of a short run. docs/decisions/0006 has the figures.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

_COMPARISONS = {"__eq__": "==", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}


def _make_decorator(*, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False) -> Callable[[type], type]:
    """
    Return a decorator that makes a dataclass.

    Fields are as in the standard library, without `InitVar`, `init` and `kw_only`. What is frozen has slots.
    """

    def decorate(given: type) -> type:
        # Without a docstring, the standard library makes one from the signature. That takes longer than all of this.
        given.__doc__ = given.__doc__ or given.__name__
        cls: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(given)  # noqa: TID251 - without methods to compile
        methods: dict[str, Any] = {"__init__": _compile_later(cls, "__init__", lambda: _write_init(cls, frozen=frozen)), "__repr__": _repr}
        if frozen:
            methods |= {"__setattr__": _refuse_to_assign, "__delattr__": _refuse_to_delete, "__setstate__": _set_state}
        if eq:
            methods["__hash__"] = _compile_later(cls, "__hash__", lambda: (f"(self): return hash({_write_values(cls, 'self')})", {})) if frozen else None
        for name in list(_COMPARISONS)[: len(_COMPARISONS) if order else int(eq)]:
            methods[name] = _compile_later(cls, name, lambda name=name: _write_comparison(cls, name))  # type: ignore[misc]
        for name, method in methods.items():
            if cls.__dict__.get(name) is None:
                setattr(cls, name, method)
        return cls  # type: ignore[no-any-return]

    return decorate


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414, TID251 - what mypy knows
else:
    dataclass = _make_decorator


def _compile_later(cls: Any, name: str, write: Callable[[], tuple[str, Mapping[str, Any]]]) -> Callable[..., Any]:
    """Return a method that replaces itself with what *write* returns."""

    def method(self: Any, *values: Any, **named: Any) -> Any:
        text, names = write()
        made = dict(names)
        exec(f"def {name}{text}", made)  # noqa: S102 - it contains names of fields and nothing else, as in the standard library
        made[name].__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, made[name])
        return made[name](self, *values, **named)

    return method


def _write_init(cls: Any, *, frozen: bool) -> tuple[str, dict[str, Any]]:
    """Write `__init__` with one parameter for each field."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": dataclasses.MISSING}
    parameters, lines = ["self"], ["pass"]
    for field in dataclasses.fields(cls):
        default, value = "", field.name
        if field.default is not dataclasses.MISSING:
            names[f"_default_{field.name}"] = field.default
            default = f"=_default_{field.name}"
        elif field.default_factory is not dataclasses.MISSING:
            names[f"_make_{field.name}"] = field.default_factory
            default, value = "=_MISSING", f"_make_{field.name}() if {field.name} is _MISSING else {field.name}"
        parameters.append(field.name + default)
        lines.append(f"_set(self, {field.name!r}, {value})" if frozen else f"self.{field.name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    return f"({', '.join(parameters)}):\n " + "\n ".join(lines), names


def _write_comparison(cls: Any, name: str) -> tuple[str, dict[str, Any]]:
    compared = f"{_write_values(cls, 'self')} {_COMPARISONS[name]} {_write_values(cls, 'other')}"
    return f"(self, other): return {compared} if other.__class__ is self.__class__ else NotImplemented", {}


def _write_values(cls: Any, instance: str) -> str:
    return f"({''.join(f'{instance}.{field.name}, ' for field in dataclasses.fields(cls) if field.compare)})"


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({shown})"


def _refuse_to_assign(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _set_state(self: Any, state: tuple[None, Mapping[str, Any]]) -> None:
    # As `copy` calls it; the state of an object with slots is None and a mapping.
    for name, value in state[1].items():
        object.__setattr__(self, name, value)
