"""Write the YAML that runtimes and clusters read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from imgsync.runtime_config.toml_text import write_comment

_WIDTH = 160


class _Dumper(yaml.SafeDumper):
    """Writes lists below their key, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - yaml's interface
        """Indent lists below their key."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's interface
        """Write repeated values out."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def write_yaml(documents: Iterable[Mapping[str, Any]], *comments: str) -> str:
    """Return *documents* as YAML, below *comments*."""
    texts = (yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=_WIDTH, default_flow_style=False) for document in documents)
    return "".join(f"{write_comment(comment)}\n" for comment in comments) + "---\n".join(texts)
