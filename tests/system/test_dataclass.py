"""Dataclasses whose methods are compiled when called often behave as those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from imgsync.system.dataclass import dataclass


def _declare(decorator: Any) -> Any:
    @decorator(frozen=True, slots=True, order=True)
    class Place:
        """A place."""

        name: str
        port: int = 443
        notes: list[str] = field(default_factory=list, compare=False)
        secret: str = field(default="", repr=False)

        @property
        def host(self) -> str:
            return f"{self.name}:{self.port}"

    return Place


OWN, STANDARD, COMPILED = _declare(dataclass), _declare(dataclasses.dataclass), _declare(dataclass)
METHODS = ("__init__", "__eq__", "__hash__", "__lt__", "__ge__")
for _ in range(100):
    _value = COMPILED("a")
    _ = (_value == _value, hash(_value), _value < _value, _value >= _value)
ARGUMENTS = [(), ("a",), ("a", 1), ("a", 1, ["n"]), ("a", 2, ["m"], "s"), ("b", 1), ("a", "1"), (1,), ("a", 1, [], "", "more")]


def _outcome(action: Any) -> Any:
    try:
        found = action()
    except TypeError:
        return TypeError
    return found if isinstance(found, str | bool | int) else repr(found)


@pytest.mark.parametrize("first", ARGUMENTS)
@pytest.mark.parametrize("second", ARGUMENTS)
def test_results_equal_the_standard_librarys(first, second):
    """Making, comparing, hashing, sorting and showing, valid or not."""
    actions = [
        lambda cls, a, b: cls(*a),
        lambda cls, a, b: cls(*a) == cls(*b),
        lambda cls, a, b: hash(cls(*a)) == hash(cls(*b)),
        lambda cls, a, b: cls(*a) < cls(*b),
        lambda cls, a, b: cls(*a) >= cls(*b),
        lambda cls, a, b: replace(cls(*a), port=5),
        lambda cls, a, b: str(asdict(cls(*a))),
        lambda cls, a, b: cls(*a).host,
        lambda cls, a, b: cls(*a) == a,
    ]

    expected = [_outcome(lambda one=one: one(STANDARD, first, second)) for one in actions]
    for own in (_declare(dataclass), COMPILED):
        assert [_outcome(lambda one=one, own=own: one(own, first, second)) for one in actions] == expected


@pytest.mark.parametrize("named", [{"name": "a"}, {"name": "a", "port": 1}, {"port": 1}, {"name": "a", "other": 1}, {"name": "a", "notes": ["n"]}])
@pytest.mark.parametrize("positional", [(), ("a",)])
def test_named_arguments_equal_the_standard_librarys(positional, named):
    """Also one that is given twice, is missing or unknown."""
    expected = _outcome(lambda: STANDARD(*positional, **named))

    for own in (_declare(dataclass), COMPILED):
        assert _outcome(lambda own=own: own(*positional, **named)) == expected


def test_class_says_the_same_of_itself():
    """Fields, slots, match arguments and default values."""
    for look in (
        lambda cls: [(one.name, one.default, one.repr, one.compare) for one in fields(cls)],
        lambda cls: (cls.__slots__, cls.__match_args__, cls.__doc__, cls.__qualname__),
        is_dataclass,
    ):
        assert look(OWN) == look(STANDARD)


def test_frozen_value_refuses_changes():
    """No field is set or deleted, and there are no others."""
    place = OWN("a")

    with pytest.raises(FrozenInstanceError):
        place.name = "b"
    with pytest.raises(FrozenInstanceError):
        del place.name
    with pytest.raises(FrozenInstanceError):
        place.other = 1
    assert place == OWN("a")


def test_copies_of_a_frozen_value_are_equal():
    """A deep copy shares no list."""
    place = OWN("a", 1, ["n"], "s")

    assert asdict(copy.copy(place)) == asdict(place)
    assert asdict(copy.deepcopy(place)) == asdict(place)
    assert copy.deepcopy(place).notes is not place.notes


def test_factory_is_called_for_each_instance():
    """Two values never share a list."""
    assert OWN("a").notes is not OWN("a").notes


def test_changeable_value_has_no_hash():
    """As in the standard library; without eq it has that of its identity."""

    @dataclass(slots=True)
    class Compared:
        x: int

    @dataclass(slots=True, eq=False)
    class Same:
        x: int

    value = Compared(1)
    value.x = 2

    assert value == Compared(2)
    assert Compared.__hash__ is None
    assert Same(1) != Same(1)
    assert len({Same(1), Same(1)}) == 2


def test_methods_of_the_class_stay():
    """What a class defines is not replaced, and __post_init__ runs."""

    @dataclass(frozen=True, slots=True)
    class Own:
        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("negative")

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == Own(2)
    assert (hash(Own(1)), repr(Own(1))) == (7, "own")
    with pytest.raises(ValueError, match="negative"):
        Own(-1)


def test_value_without_fields_is_equal_to_others():
    """All are one value."""

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1


def test_only_what_is_called_often_is_compiled():
    """A class of which a run makes a few values compiles nothing."""
    cls = _declare(dataclass)
    before = {name: cls.__dict__[name] for name in METHODS}

    for _ in range(5):
        assert cls("a") == cls("a")
    few = {name for name in METHODS if cls.__dict__[name] is not before[name]}
    for _ in range(100):
        cls("a")
    many = {name for name in METHODS if cls.__dict__[name] is not before[name]}

    assert (few, many) == (set(), {"__init__"})
    assert all(COMPILED.__dict__[name].__code__.co_filename == "<string>" for name in METHODS)


def test_call_that_fails_says_what_is_wrong():
    """The message names the class and the argument, whether or not it is the first call."""
    for own in (_declare(dataclass), COMPILED):
        with pytest.raises(TypeError, match=r"Place.__init__\(\) missing 1 required positional argument: 'name'"):
            own()


def test_fields_are_made_when_asked_for():
    """Most classes of a run are never asked."""
    cls = _declare(dataclass)

    assert type(cls.__dict__["__dataclass_fields__"]) is not dict
    assert [one.name for one in fields(cls)] == ["name", "port", "notes", "secret"]
    assert type(cls.__dict__["__dataclass_fields__"]) is dict


def test_class_variable_is_not_a_field():
    """Its value stays on the class."""

    @dataclass(frozen=True, slots=True)
    class Counted:
        x: int
        limit: ClassVar[int] = 7

    assert [one.name for one in fields(Counted)] == ["x"]
    assert (Counted(1).limit, Counted.limit, repr(Counted(1))) == (7, 7, "test_class_variable_is_not_a_field.<locals>.Counted(x=1)")


@pytest.mark.parametrize("own", [COMPILED, _declare(dataclass)], ids=["compiled", "first calls"])
def test_subclass_keeps_its_class_and_attributes(own):
    """One that declares no fields, with other slots or a dictionary."""

    class Same(own):
        __slots__ = ()

    class More(own):
        def __init__(self, name: str) -> None:
            object.__setattr__(self, "more", 1)
            own.__init__(self, name)

    assert [type(value) for value in (Same("a"), More("a"))] == [Same, More]
    assert [(value.name, value.port) for value in (Same("a"), More("a"))] == [("a", 443)] * 2
    assert More("a").more == 1
    for value in (Same("a"), More("a")):
        with pytest.raises(AttributeError):
            value.name = "b"
