"""Fill in the templates of an entry, and report what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from imgsync.convert.go_templates import TemplateError, UnsetVariableError, fill_template, is_template
from imgsync.convert.input_file import Node

_SHELL_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def fill_node(node: Node, text: str, *, variables: Mapping[str, str], fields: Mapping[str, str] | None = None, what: str) -> str | None:
    """
    Return the template *text* of *node* filled in, None if impossible.

    A variable that is not set is an error. Any other template that imgsync does not evaluate is lost.

    Args:
        node: Where errors and remarks are reported.
        text: The template.
        variables: What `env` reads.
        fields: The values of fields such as `.Sync.Source`.
        what: What is skipped, for remarks: "step" or "entry".
    """
    if not is_template(text):
        return text
    try:
        return fill_template(text, variables=variables, fields=fields or {})
    except UnsetVariableError as error:
        report_unset(node, error.name)
    except TemplateError as error:
        node.report_lost(f"{error}; the {what} is skipped", hint="replace the template by its value, and convert again")
    return None


def fill_shell_variables(node: Node, text: str, *, variables: Mapping[str, str]) -> str | None:
    """Return *text* with `$NAME` and `${NAME}` filled in; report unset ones."""
    names = [found[1] or found[2] for found in _SHELL_VARIABLE.finditer(text)]
    unset = [name for name in names if not variables.get(name)]
    for name in unset:
        report_unset(node, name)
    return None if unset else _SHELL_VARIABLE.sub(lambda found: variables[found[1] or found[2]], text)


def report_unset(node: Node, name: str) -> None:
    """Report that the variable *name* is missing."""
    node.report_error(f"the variable {name} is not set", hint=f"set it in the environment, or pass --set {name}=VALUE")
