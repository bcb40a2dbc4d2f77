"""
Make dataclasses that compile a method when it is called often.

The standard decorator compiles up to ten methods of each class at import, which took a fifth of a short run, and makes each class twice and its
fields at once. docs/decisions/0006 has the figures.
"""

from __future__ import annotations

import dataclasses
import operator
import reprlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

_COMPARISONS = {"__eq__": "==", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
_NOT_COPIED = frozenset({"__dict__", "__weakref__"})
# About as many calls as the time is worth that compiling takes.
_CALLS_BEFORE_COMPILING = 40
_COMPILE = object()
"""What a method returns for a call that only the compiled one can judge."""

_Written = tuple[str, Mapping[str, Any]]


def _make_decorator(*, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False) -> Callable[[type], type]:
    """
    Return a decorator that makes a dataclass.

    Fields are as in the standard library, without `InitVar`, `KW_ONLY`, `init` and `kw_only`. All have slots, and none has subclasses.
    """
    if not slots:
        raise TypeError("write slots=True")

    def decorate(given: type) -> type:
        fields = _Fields(given)
        methods: dict[str, Any] = {"__init__": _initialize_with(fields, frozen=frozen), "__repr__": _repr}
        if frozen:
            methods |= {"__setattr__": _refuse_to_assign, "__delattr__": _refuse_to_delete, "__setstate__": _set_state}
        if eq:
            methods["__hash__"] = _hash_with(fields) if frozen else None
        for name in list(_COMPARISONS)[: len(_COMPARISONS) if order else int(eq)]:
            methods[name] = _compare_with(fields, name)
        own = {name: value for name, value in vars(given).items() if name not in _NOT_COPIED and name not in fields.names}
        # All at once: each method that is set on a class later makes Python look for it in all its slots.
        added = {name: method for name, method in methods.items() if own.get(name) is None}
        described = {"__slots__": fields.names, "__match_args__": fields.names, "__dataclass_fields__": fields, "__qualname__": given.__qualname__}
        fields.cls = type(given)(given.__name__, given.__bases__, {**own, "__doc__": given.__doc__ or given.__name__, **added, **described})
        return fields.cls  # type: ignore[no-any-return]

    return decorate


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414, TID251 - what mypy knows
else:
    dataclass = _make_decorator


class _Fields:
    """The fields of one class, described when they are asked for."""

    def __init__(self, given: type) -> None:
        """Read the fields that are declared in *given*."""
        self.cls: Any = None
        self.names = tuple(name for name, kind in given.__annotations__.items() if not str(kind).startswith("ClassVar["))
        self.defaults = {name: value for name, value in vars(given).items() if name in self.names}
        self._given = given

    def __get__(self, _instance: object, cls: Any) -> Mapping[str, dataclasses.Field[Any]]:
        """Return the fields for `fields`, `replace` and `asdict`."""
        made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(self._given)  # noqa: TID251 - without methods to compile
        cls.__dataclass_fields__ = made.__dataclass_fields__
        return made.__dataclass_fields__  # type: ignore[no-any-return]

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """The names of the fields that are compared."""
        return tuple(name for name in self.names if getattr(self.defaults.get(name), "compare", True) is not False)

    @cached_property
    def get_compared(self) -> Callable[[object], tuple[Any, ...]]:
        """A function that returns the values of the compared fields."""
        names = self.compared
        return operator.attrgetter(*names) if len(names) > 1 else lambda instance: tuple(getattr(instance, name) for name in names)

    def make_open_class(self) -> type:
        """Return a class of the same layout whose instances are not frozen."""
        return type(self.cls)(self.cls.__name__, self.cls.__bases__, {"__slots__": self.names})  # type: ignore[no-any-return]

    def find_default(self, name: str) -> tuple[object, Callable[[], object] | None]:
        """Return the default value and the default factory of a field."""
        default = self.defaults.get(name, dataclasses.MISSING)
        if not isinstance(default, dataclasses.Field):
            return default, None
        factory: Any = default.default_factory
        return default.default, None if factory is dataclasses.MISSING else factory


def _call_then_compile(fields: _Fields, name: str, method: Callable[..., Any], write: Callable[[], _Written]) -> Callable[..., Any]:
    """Return *method*, which compiles what *write* returns after some calls."""
    calls = 0

    def call(self: Any, *values: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        result = _COMPILE if calls > _CALLS_BEFORE_COMPILING else method(self, *values, **named)
        if result is not _COMPILE:
            return result
        text, names = write()
        made = dict(names)
        exec(f"def {name}{text}", made)  # noqa: S102 - it contains names of fields and nothing else, as in the standard library
        made[name].__qualname__ = f"{fields.cls.__qualname__}.{name}"
        setattr(fields.cls, name, made[name])
        return made[name](self, *values, **named)

    return call


def _initialize_with(fields: _Fields, *, frozen: bool) -> Callable[..., Any]:
    set_field: Callable[[object, str, object], None] = object.__setattr__ if frozen else setattr

    def initialize(self: Any, *values: Any, **named: Any) -> object:
        for name, value in zip(fields.names, values, strict=False):
            set_field(self, name, value)
        taken = 0
        for name in fields.names[len(values) :]:
            if name in named:
                value = named[name]
                taken += 1
            else:
                value, factory = fields.find_default(name)
                value = factory() if factory is not None else value
            if value is dataclasses.MISSING:
                return _COMPILE
            set_field(self, name, value)
        if len(values) > len(fields.names) or taken != len(named):
            return _COMPILE
        if hasattr(fields.cls, "__post_init__"):
            self.__post_init__()
        return None

    return _call_then_compile(fields, "__init__", initialize, lambda: _write_init(fields, frozen=frozen))


def _hash_with(fields: _Fields) -> Callable[..., Any]:
    return _call_then_compile(
        fields, "__hash__", lambda self: hash(fields.get_compared(self)), lambda: (f"(self): return hash({_write_values(fields, 'self')})", {})
    )


def _compare_with(fields: _Fields, name: str) -> Callable[..., Any]:
    compare = getattr(operator, name)

    def compare_values(self: Any, other: Any) -> Any:
        return compare(fields.get_compared(self), fields.get_compared(other)) if other.__class__ is self.__class__ else NotImplemented

    return _call_then_compile(fields, name, compare_values, lambda: _write_comparison(fields, name))


def _write_init(fields: _Fields, *, frozen: bool) -> _Written:
    """Write `__init__` with one parameter for each field."""
    names: dict[str, Any] = {"_MISSING": dataclasses.MISSING}
    parameters, values = ["self"], {}
    for name in fields.names:
        default, factory = fields.find_default(name)
        written, value = "", name
        if default is not dataclasses.MISSING:
            names[f"_default_{name}"] = default
            written = f"=_default_{name}"
        elif factory is not None:
            names[f"_make_{name}"] = factory
            written, value = "=_MISSING", f"_make_{name}() if {name} is _MISSING else {name}"
        parameters.append(name + written)
        values[name] = value
    lines = [f"self.{name} = {value}" for name, value in values.items()] or ["pass"]
    if frozen:
        # `object.__setattr__` takes three times as long as an assignment: the instance is frozen once it has all its fields.
        names |= {"_set": object.__setattr__, "_cls": fields.cls, "_open": fields.make_open_class()}
        lines = ["_set(self, '__class__', _open)", *lines, "self.__class__ = _cls"]
        # A subclass may have another layout.
        slow = [f"_set(self, {name!r}, {value})" for name, value in values.items()] or ["pass"]
        lines = ["if self.__class__ is _cls:", *(f" {line}" for line in lines), "else:", *(f" {line}" for line in slow)]
    if hasattr(fields.cls, "__post_init__"):
        lines.append("self.__post_init__()")
    return f"({', '.join(parameters)}):\n " + "\n ".join(lines), names


def _write_comparison(fields: _Fields, name: str) -> _Written:
    compared = f"{_write_values(fields, 'self')} {_COMPARISONS[name]} {_write_values(fields, 'other')}"
    return f"(self, other): return {compared} if other.__class__ is self.__class__ else NotImplemented", {}


def _write_values(fields: _Fields, instance: str) -> str:
    return f"({''.join(f'{instance}.{name}, ' for name in fields.compared)})"


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
