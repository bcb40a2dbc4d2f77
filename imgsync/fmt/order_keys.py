"""
Order keys as the schema does.

A mapping keeps its order if an alias depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from imgsync.fmt.tree import Node, Part

_MERGE = "<<"
_FREE = "x-"

Schema = Mapping[str, Any]


def order_keys(root: Node, schema: Schema) -> None:
    """Order the keys of *root* and all below as *schema* lists them."""
    anchors = Counter(node.anchor for node in root.walk() if node.anchor)
    # Which of two anchors of one name an alias means depends on their order.
    if all(count == 1 for count in anchors.values()):
        _order(root, schema, schema)


def _order(node: Node, schema: Schema, root: Schema) -> None:
    properties: Schema = schema.get("properties", {})
    if node.is_mapping and node.parts:
        ordered = sorted(node.parts, key=lambda part: _rank(part.name, list(properties)))
        if _is_defined_before_use(ordered):
            node.parts[:] = ordered
    for part in node.parts or ():
        _order(part.value, _find_object(properties.get(part.name, {}) if node.is_mapping else schema.get("items", {}), part.value, root), root)


def _rank(name: str, known: list[str]) -> float:
    if name == _MERGE:
        return -1
    if name.startswith(_FREE):
        # After the version, before what refers to their anchors.
        return 0.5
    return known.index(name) if name in known else len(known)


def _find_object(schema: Schema, node: Node, root: Schema) -> Schema:
    """Return the part of *schema* that describes *node*."""
    if "$ref" in schema:
        return _find_object(root["$defs"][schema["$ref"].rpartition("/")[2]], node, root)
    kind = "object" if node.is_mapping else "array"
    for branch in schema.get("anyOf", ()):
        found = _find_object(branch, node, root)
        if found.get("type") == kind:
            return found
    return schema


def _is_defined_before_use(parts: list[Part]) -> bool:
    """Return whether each anchor in *parts* is above its aliases there."""
    place = {node.anchor[1:]: number for number, part in enumerate(parts) for node in part.walk() if node.anchor}
    uses = ((node.text[1:], number) for number, part in enumerate(parts) for node in part.walk() if node.parts is None and _is_alias(node))
    return all(place.get(name, number) <= number for name, number in uses)


def _is_alias(node: Node) -> bool:
    return node.text.startswith("*") and not node.style and not node.value
