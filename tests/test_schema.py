"""The schemas are strict, described and shipped, and the examples fit them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from imgsync.config.load import load_config
from imgsync.config.schema_files import read_schema

ROOT = Path(__file__).parents[1]


def objects(schema: object, path: str = ""):
    if isinstance(schema, dict):
        yield path, schema
        for name, part in schema.items():
            if name not in {"examples", "default"}:
                yield from objects(part, f"{path}/{name}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from objects(part, f"{path}/{number}")


@pytest.mark.parametrize("name", ["mirror", "registries"])
def test_schemas_are_strict_and_described(name):
    """Unknown keys are refused; every setting has a description and an example."""
    schema = json.loads(read_schema(name))
    Draft202012Validator.check_schema(schema)
    for path, part in objects(schema):
        if part.get("type") == "object":
            assert "additionalProperties" in part, path
            assert part["additionalProperties"] is not True, path
        for key, setting in part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ():
            if "$ref" not in setting:
                assert setting.get("description"), f"{path}/{key}"
                assert "examples" in setting or "default" in setting, f"{path}/{key}"


@pytest.mark.parametrize("name", ["mirror", "registries"])
def test_examples_and_defaults_fit_their_schema(name):
    """Examples and defaults in the schema are valid."""
    schema = json.loads(read_schema(name))
    for path, part in objects(schema):
        for example in [*part.get("examples", ()), *([part["default"]] if "default" in part else [])] if isinstance(part.get("examples", []), list) else ():
            errors = list(Draft202012Validator({**part, "$defs": schema.get("$defs", {})}).iter_errors(example))
            assert not errors, f"{path}: {errors[0].message}"


def test_shipped_examples_are_valid():
    """mirrors.d loads with the example of the registry settings."""
    config = load_config([str(ROOT / "mirrors.d")], registries=str(ROOT / "registries.example.yaml"), environ={})

    assert {mirror.name for mirror in config.mirrors} == {"kubernetes", "nginx-alpine", "monitoring"}
