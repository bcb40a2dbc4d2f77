"""JSON with the line of each text; a list object's items one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from imgsync.discover import read_json as module
from imgsync.discover.read_json import InvalidJsonError, JsonDocument


@pytest.fixture(params=[1, 3, 1 << 20], autouse=True)
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What is decoded at once makes no difference."""
    monkeypatch.setattr(module, "_PIECE_BYTES", request.param)
    return int(request.param)


def read_json(text: str) -> Iterator[JsonDocument]:
    return module.read_json(text.encode("utf-8", "surrogatepass"))


def lines(text: str, *paths: tuple[str | int, ...]) -> list[int]:
    (document,) = read_json(text)
    return [document.find_line(path) for path in paths]


def test_texts_have_their_lines():
    """Also texts that are there twice, escaped ones, and those after numbers."""
    text = '{\n "a": "x",\n "n": [1, 2.5,\n "x"],\n "b\\"c": {"d":\n "x\\n\\"y"},\n "z": null, "e": "x"\n}\n'

    assert lines(text, ("a",), ("n", 2), ('b"c', "d"), ("e",)) == [2, 4, 6, 7]


def test_items_of_a_list_are_documents():
    """With their own lines; what is beside the items is the last one."""
    text = json.dumps({"apiVersion": "v1", "items": [{"image": "a"}, {"image": "b", "n": 1}], "kind": "List"}, indent=1)

    first, second, rest = read_json(text)

    assert [first.value, second.value, rest.value] == [{"image": "a"}, {"image": "b", "n": "1"}, {"apiVersion": "v1", "items": [], "kind": "List"}]
    assert [text.splitlines()[line - 1].strip() for line in (first.find_line(("image",)), second.find_line(("image",)))] == ['"image": "a"', '"image": "b",']


def test_values_one_after_the_other_are_all_read():
    """As `jq` writes them."""
    found = list(read_json('{"a": "1"}\n{"a":\n"2"}\n["3"]\n'))

    assert [one.value for one in found] == [{"a": "1"}, {"a": "2"}, ["3"]]
    assert [found[1].find_line(("a",)), found[2].find_line((0,))] == [3, 4]


@pytest.mark.parametrize(
    "text", ["{", "[1", '{"items": [1 2]}', '{"items": [', '{"a" 1}', "[" * 100_000, '{"items": [{}], ', "nope", '{"items": [1],,}', '"\\ud800"x']
)
def test_text_that_is_not_json_is_an_error(text):
    """Always the same one."""
    with pytest.raises(InvalidJsonError, match=r"."):
        list(read_json(text))


def test_huge_numbers_are_kept_as_text():
    """Python refuses to convert more than 4,300 digits."""
    (found,) = read_json(f'{{"a": {"9" * 5000}, "b": 1e999, "c": NaN, "d": "e"}}')

    assert found.value == {"a": "9" * 5000, "b": "1e999", "c": "NaN", "d": "e"}
    assert found.find_line(("d",)) == 1


def test_text_in_two_pieces_is_read_as_one():
    """A character, a number, a word or an escape may be cut anywhere."""
    text = '\ufeff{"items": [{"a": "z\u00fcrich \U0001f600 \\u00e9"}, 12345.5e10, true, null,\n{"b": [-1, "x"]}]}'

    *items, _ = read_json(text)

    assert [one.value for one in items] == [{"a": "z\u00fcrich \U0001f600 \u00e9"}, "12345.5e10", True, None, {"b": ["-1", "x"]}]
    assert items[-1].find_line(("b", 1)) == 2


@pytest.mark.parametrize(("text", "line"), [('{"items": [{},\n{"a": 1},\n {"b" 2}]}', 3), ('{"a": 1}\n\nx', 3), ('{"items": [{}\n', 2)])
def test_error_has_its_line(text, line):
    """Also after items that were forgotten."""
    with pytest.raises(InvalidJsonError) as error:
        list(read_json(text))

    assert error.value.line == line


def test_bytes_that_are_not_utf_8_are_an_error():
    """What comes before them is read."""
    found = module.read_json(b'{"items": [{"a": 1}, {"b": "\xff"}]}')
    with pytest.raises(InvalidJsonError, match="UTF-8"):
        list(found)
