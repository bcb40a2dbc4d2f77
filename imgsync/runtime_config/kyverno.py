"""
Write a MutatingPolicy of Kyverno, which rewrites the image names of pods.

Spec: Kyverno 1.17, policies.kyverno.io/v1. Only operations on strings: a look-up of the image needs the registry, which an air gap does not have
(kyverno#11331). A name that was rewritten matches no rule, so that nothing is rewritten twice (policies#347).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imgsync.config.model import Config, Source
from imgsync.filters.globs import translate_glob
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.name_rules import NameRule, find_name_rules
from imgsync.runtime_config.needs import list_insecure, list_needs
from imgsync.runtime_config.places import COMPONENTS, Place
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.yaml_text import write_yaml

_RUNTIME = "in the settings of their container runtime"
_CA = "where the container runtime of the nodes looks for it"
_LOGIN = "imagePullSecrets of the pods"
# Docker's short names, made whole. `i` is the name as written.
_WHOLE_NAME = """\
i.matches('^[^/]+$') ? 'docker.io/library/' + i :
i.matches('^((index|registry-1)[.])?docker[.]io/[^/]+$') ? 'docker.io/library/' + i.substring(i.indexOf('/') + 1) :
i.matches('^(index|registry-1)[.]docker[.]io/') ? 'docker.io/' + i.substring(i.indexOf('/') + 1) :
i.matches('^[a-z0-9_-]+/') && !i.startsWith('localhost/') ? 'docker.io/' + i : i"""
# A name in four parts: registry and path, tag, digest with its @, and the name as written.
_SPLIT_DIGEST = "n[0].contains('@') ? [n[0].substring(0, n[0].indexOf('@')), n[0].substring(n[0].indexOf('@')), n[1]] : [n[0], '', n[1]]"
_SPLIT_TAG = (
    "n[0].lastIndexOf(':') > n[0].lastIndexOf('/') ? "
    "[n[0].substring(0, n[0].lastIndexOf(':')), n[0].substring(n[0].lastIndexOf(':') + 1), n[1], n[2]] : [n[0], '', n[1], n[2]]"
)


def write_kyverno(config: Config, routes: Sequence[Route], findings: Findings, options: RuntimeOptions) -> RuntimeConfig:
    """Return a policy for pods and their ephemeral containers."""
    rules = find_name_rules(routes, findings, runtime="Kyverno")
    mirrors = (rule.route.mirror for rule in rules)
    comments = ("Written by imgsync (runtime-config kyverno); apply it with `kubectl apply`. It needs Kyverno 1.17.", f"Mirrors: {describe_mirrors(mirrors)}")
    files = {"kyverno.yaml": write_yaml([_make_policy(_write_rules(rules, options))], *comments)} if rules else {}
    destinations = [rule.place.registry for rule in rules]
    needs = list_needs(destinations, config.registries, ca=_CA, login=_LOGIN) + list_insecure(destinations, config.registries, where=_RUNTIME)
    return RuntimeConfig(files, findings.errors, findings.warnings, needs)


def _make_policy(rules: str) -> dict[str, Any]:
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    # `kubectl debug` adds them to a running pod.
    ephemeral = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods/ephemeralcontainers"]}
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "MutatingPolicy",
        "metadata": {"name": "imgsync"},
        "spec": {
            "matchConstraints": {"resourceRules": [pods, ephemeral]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _write_expression(rules)}}],
        },
    }


def _write_expression(rules: str) -> str:
    lists = [_write_list(f"Object.spec.{kind}", f"object.spec.{kind}", rules) for kind in ("containers", "initContainers", "ephemeralContainers")]
    reference = _rewrite("c.image.reference", rules)
    volumes = f"Object.spec.volumes{{name: c.name, image: Object.spec.volumes.image{{reference: {reference}}}}}"
    lists.append(f"volumes: has(object.spec.volumes) ?\nobject.spec.volumes.filter(c, has(c.image)).map(c, {volumes}) : []")
    return "Object{spec: Object.spec{\n" + ",\n".join(lists) + "\n}}\n"


def _write_list(kind: str, values: str, rules: str) -> str:
    name = kind.rpartition(".")[2]
    return f"{name}: has({values}) ?\n{values}.map(c, {kind}{{name: c.name, image: {_rewrite('c.image', rules)}}}) : []"


def _rewrite(name: str, rules: str) -> str:
    """Return the expression for the new name of the image *name*."""
    return f"[{name}]\n.map(i, [{_WHOLE_NAME}, i])\n.map(n, {_SPLIT_DIGEST})\n.map(n, {_SPLIT_TAG})\n.map(n,\n{rules})[0]"


def _write_rules(rules: Sequence[NameRule], options: RuntimeOptions) -> str:
    """Return a choice between all rules and the name as written."""
    lines = [f"{condition} ?\n  {result} :" for rule in rules for condition, result in _list_cases(rule, options)]
    return "\n".join([*lines, "n[3]"])


def _list_cases(rule: NameRule, options: RuntimeOptions) -> list[tuple[str, str]]:
    """Return conditions and results; `n` has the four parts of a name."""
    scope, place = rule.route.scope, rule.place
    tag = _write_tag(place.destination.tag)
    given = " && n[2] != ''" if options.digest_only else ""
    if scope.is_exact:
        return [(f"n[0] == {_quote(str(scope))}{given}", f"{_quote(f'{place.registry}/{place.texts[0]}')} + {tag}")]
    start = f"{scope}/"
    conditions = [f"n[0].startsWith({_quote(start)})", *_list_filters(rule.route.mirror.source, len(scope.registry) + 1)]
    condition = " && ".join(conditions) + given
    below = f"n[0].substring({len(start)})"
    if place.prefix is not None or place.is_flat:
        rest = below if place.prefix is not None else f"{below}.replace('/', '_')"
        return [(condition, f"{_fill(place, 0, {COMPONENTS[0]: rest})} + {tag}")]
    last = "n[0].substring(n[0].lastIndexOf('/') + 1)"
    between = f"n[0].substring({len(start)}, n[0].lastIndexOf('/'))"
    return [
        (f"{condition} && !{below}.contains('/')", f"{_fill(place, 0, {COMPONENTS[0]: below})} + {tag}"),
        (condition, f"{_fill(place, 1, {COMPONENTS[0]: between, COMPONENTS[1]: last})} + {tag}"),
    ]


def _fill(place: Place, number: int, values: dict[str, str]) -> str:
    """Return one of the place's texts as a sum of strings."""
    parts = [""]
    for character in f"{place.registry}/{place.texts[number]}":
        if character in values:
            parts += [character, ""]
        else:
            parts[-1] += character
    return " + ".join(values.get(part) or _quote(part) for part in parts if part)


def _write_tag(template: str) -> str:
    """Return the expression for tag and digest."""
    if template == "{tag}":
        return "(n[1] == '' ? '' : ':' + n[1]) + n[2]"
    # A name without tag and digest means latest.
    before, _, after = template.partition("{tag}")
    named, latest = f"{_quote(f':{before}')} + n[1] + {_quote(after)}", _quote(f":{before}latest{after}")
    return f"(n[1] != '' ? {named} : n[2] == '' ? {latest} : '') + n[2]"


def _list_filters(source: Source, start: int) -> list[str]:
    """Return conditions for paths that the mirror selects."""
    path = f"n[0].substring({start})"
    required = [[translate_glob(text) for text in source.include], list(source.regex)]
    excluded = [*(translate_glob(text) for text in source.exclude), *source.exclude_regex]
    tests = [f"{path}.matches({_quote(_join_patterns(patterns))})" for patterns in required if patterns]
    return tests + ([f"!{path}.matches({_quote(_join_patterns(excluded))})"] if excluded else [])


def _join_patterns(patterns: Sequence[str]) -> str:
    return f"^(?:{'|'.join(f'(?:{pattern})' for pattern in patterns)})$"


def _quote(text: str) -> str:
    """Return *text* as a string of CEL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
