"""`list`: what its argument means."""

from __future__ import annotations

import pytest

from imgsync.errors import InvalidReferenceError
from imgsync.plan.list_names import parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("nginx", ("docker.io", "nginx")),
        ("bitnami/nginx", ("docker.io", "bitnami/nginx")),
        ("docker.io", ("docker.io", "")),
        ("registry.k8s.io", ("registry.k8s.io", "")),
        ("registry.k8s.io/ingress-nginx/", ("registry.k8s.io", "ingress-nginx")),
        ("localhost", ("localhost", "")),
        ("localhost:5000", ("localhost:5000", "")),
        ("registry:5000", ("registry:5000", "")),
        ("registry:5000/app", ("registry:5000", "app")),
        ("[::1]:5000", ("[::1]:5000", "")),
        ("docker://nginx", ("docker.io", "nginx")),
        ("docker://quay.io/a/b", ("quay.io", "a/b")),
        ("oci://ghcr.io/a/chart", ("ghcr.io", "a/chart")),
        ("https://registry.k8s.io/", ("registry.k8s.io", "")),
        ("https://hub.docker.com/_/nginx", ("docker.io", "library/nginx")),
        ("https://hub.docker.com/r/bitnami/nginx/tags", ("docker.io", "bitnami/nginx")),
    ],
)
def test_name_without_a_registry_is_on_docker_hub(text, place):
    """As for `copy` and for Docker; what other tools write before a name is taken off."""
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("nginx:1.27", "'nginx:1.27' names one tag", "`imgsync list docker.io/nginx` shows all"),
        ("postgres:16", "'postgres:16' names one tag", "`imgsync list docker.io/postgres` shows all"),
        ("quay.io/a/b@sha256:0", "'quay.io/a/b@sha256:0' names one tag", "`imgsync list quay.io/a/b` shows all"),
        ("", "a registry or repository is missing", "write HOST, HOST/REPOSITORY, or a name on Docker Hub such as nginx"),
        (
            "http://r.io",
            "'http://r.io' is written as a URL",
            "write it without http://: r.io; for plain http, set `tls: false` for this registry in registries.yaml",
        ),
        (
            "docker-daemon:nginx",
            "`docker-daemon:` does not name a registry or an OCI layout",
            "write HOST/REPOSITORY, or oci-layout:NAME; skopeo and other tools copy such an image into a layout",
        ),
        (
            "oci:/srv/images",
            "`oci:` does not name a registry or an OCI layout",
            "write oci-layout:PATH for `imgsync copy`, else declare the layout in registries.yaml and write oci-layout:NAME",
        ),
        (
            "s3://bucket",
            "`s3:` does not name a registry or an OCI layout",
            "write HOST/REPOSITORY, or oci-layout:NAME; skopeo and other tools copy such an image into a layout",
        ),
    ],
)
def test_what_cannot_be_listed_is_an_error(text, message, hint):
    """With what to write instead."""
    with pytest.raises(InvalidReferenceError) as caught:
        parse_place(text)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_name_that_has_nothing_says_where_to_look(lab):
    """The level above, which the account may be able to list."""
    lab.declare("app")

    ran = lab.run("list", f"{lab.source.host}/{lab.name}/helo")

    assert ran.code == 1
    assert "neither a repository with tags nor a namespace with repositories" in ran.stderr
    assert f"hint: check the spelling; `imgsync list {lab.source.host}/{lab.name}` shows what this account can see" in ran.stderr
