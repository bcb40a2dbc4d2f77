"""Kyverno rewrites names of images, each once, and no others."""

from __future__ import annotations

import pytest

from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.runtime_config.model import RuntimeConfig, RuntimeOptions
from imgsync.runtime_config.runtimes import build_runtime_config
from tests.support.cel import evaluate
from tests.support.runtimes import load_yaml

DIGEST = f"sha256:{'0' * 64}"


def make_mirror(name: str, source: Source, *destinations: Destination) -> Mirror:
    return Mirror(name, source, destinations or (Destination("m.example", "hub"),), file="mirrors.d/a.yaml", line=3)


def build(*mirrors: Mirror, options: RuntimeOptions = RuntimeOptions()) -> RuntimeConfig:  # noqa: B008 - a frozen value
    return build_runtime_config("kyverno", Config(mirrors, RegistriesConfig()), options)


def rename(built: RuntimeConfig, image: str) -> str:
    """Return the new name of *image* in a pod with another container; what the pod does not have stays so."""
    assert built.errors == ()
    (policy,) = load_yaml(built.files, "kyverno.yaml")
    pod = {"spec": {"containers": [{"name": "other", "image": "unknown.example/app:1"}, {"name": "app", "image": image}]}}
    found = evaluate(policy["spec"]["mutations"][0]["applyConfiguration"]["expression"], object=pod)["spec"]
    other, app = found.pop("containers")
    assert other == {"name": "other", "image": "unknown.example/app:1"}
    assert found == {"initContainers": [], "ephemeralContainers": [], "volumes": []}
    return app["image"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", "m.example/hub/library/nginx"),
        ("nginx:1.27", "m.example/hub/library/nginx:1.27"),
        (f"nginx:1.27@{DIGEST}", f"m.example/hub/library/nginx:1.27@{DIGEST}"),
        (f"library/nginx@{DIGEST}", f"m.example/hub/library/nginx@{DIGEST}"),
        ("docker.io/nginx:1", "m.example/hub/library/nginx:1"),
        ("index.docker.io/library/nginx:1", "m.example/hub/library/nginx:1"),
        ("docker.io/library/nginx-extra:1", "docker.io/library/nginx-extra:1"),
        ("quay.io/library/nginx:1", "quay.io/library/nginx:1"),
        ("localhost/library/nginx:1", "localhost/library/nginx:1"),
        ("registry.example:5000/library/nginx", "registry.example:5000/library/nginx"),
        ("m.example/hub/library/nginx:1.27", "m.example/hub/library/nginx:1.27"),
    ],
)
def test_names_of_one_image_are_rewritten_alike(image: str, expected: str):
    """Docker's short ones too, and what only looks like it is left as it is."""
    assert rename(build(make_mirror("hub", Source("docker.io", repositories=("library/nginx",)))), image) == expected


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("{flat}", "team/a/b/c/d/e/f/g/h/i/j/k", "hub/team_a_b_c_d_e_f_g_h_i_j_k"),
        ("x-{name}", "team/a/b", "hub/x-b"),
        ("{parent}/n/{name}", "team/a/b", "hub/team/a/n/b"),
        ("{name}/of", "team/a", "hub/a/of"),
        ("{registry}/{path}", "team/a", "hub/quay.io/team/a"),
    ],
)
def test_templates_are_expressed_at_any_depth(template: str, path: str, expected: str):
    """Also with a tag or a digest behind the name."""
    built = build(make_mirror("one", Source("quay.io", namespaces=("team",)), Destination("m.example", "hub", template)))

    for name in ("", ":1.0", f"@{DIGEST}", f":1.0@{DIGEST}"):
        assert rename(built, f"quay.io/{path}{name}") == f"m.example/{expected}{name}"


def test_tags_are_renamed():
    """A name without a tag means latest."""
    built = build(make_mirror("one", Source("quay.io", repositories=("a",)), Destination("m.example", tag="v-{tag}-m")))

    assert rename(built, "quay.io/a:1") == "m.example/a:v-1-m"
    assert rename(built, "quay.io/a") == "m.example/a:v-latest-m"
    assert rename(built, f"quay.io/a@{DIGEST}") == f"m.example/a@{DIGEST}"
    assert rename(built, f"quay.io/a:1@{DIGEST}") == f"m.example/a:v-1-m@{DIGEST}"


def test_what_a_mirror_does_not_select_keeps_its_name():
    """There is no source to fall back to; quotes and backslashes of patterns stay what they are."""
    source = Source("quay.io", namespaces=("team",), include=("team/a*",), regex=(r"team/\w+",), exclude=("**/ab",), exclude_regex=("team/'ac",))
    built = build(make_mirror("one", source))

    assert rename(built, "quay.io/team/aa:1") == "m.example/hub/team/aa:1"
    for other in ("team/ab", "team/b", "team/a-a", "other/aa"):
        assert rename(built, f"quay.io/{other}:1") == f"quay.io/{other}:1"


def test_only_digests_are_rewritten_if_so_asked():
    """With digest_only."""
    built = build(make_mirror("one", Source("quay.io", repositories=("a",))), options=RuntimeOptions(digest_only=True))

    assert rename(built, "quay.io/a:1") == "quay.io/a:1"
    assert rename(built, f"quay.io/a:1@{DIGEST}") == f"m.example/hub/a:1@{DIGEST}"


@pytest.mark.parametrize(
    ("mirrors", "reason"),
    [
        ((make_mirror("one", Source("quay.io", repositories=("a",)), Destination("quay.io", "a")),), "the new name would be rewritten again"),
        (
            (
                make_mirror("one", Source("docker.io", namespaces=("library",)), Destination("quay.io", "hub")),
                make_mirror("two", Source("quay.io", namespaces=("",))),
            ),
            "the new name would be rewritten again",
        ),
        (
            (make_mirror("one", Source("quay.io", namespaces=("a",))), make_mirror("two", Source("quay.io", repositories=("a/b",)), Destination("n.example"))),
            "one (mirrors.d/a.yaml:3) has images of quay.io/a/b in another place",
        ),
        ((make_mirror("one", Source("quay.io", repositories=("a",)), Destination("m.example", tag="stable")),), "is the same for all tags"),
        ((make_mirror("one", Source("quay.io", namespaces=("a",)), Destination("m.example", repository="{flat}/{name}")),), "uses {flat} and other fields"),
        ((make_mirror("one", Source("quay.io", repositories=tuple(f"a{number}" for number in range(101)))),), "is more than a policy for Kyverno can have"),
    ],
)
def test_what_a_policy_cannot_express_is_an_error(mirrors: tuple[Mirror, ...], reason: str):
    """With the reason."""
    assert reason in "".join(error.message for error in build(*mirrors).errors)
