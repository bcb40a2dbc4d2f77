"""`copy`: what its arguments mean, and what it may do."""

from __future__ import annotations

import pytest

from imgsync.config.copy_config import build_copy_config
from imgsync.config.model import RegistriesConfig
from imgsync.errors import ImgsyncError
from tests.support.images import image

ALLOW_MORE = "allowed: r.io/mirror; the operator of registries.yaml can allow more, and --registries names another file"
ALLOWED = RegistriesConfig(allowed_sources=("docker.io/library",), allowed_destinations=("r.io/mirror",))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("nginx:1.27", ("docker.io", "library/nginx", "1.27")),
        ("docker://nginx:1.27", ("docker.io", "library/nginx", "1.27")),
        ("docker:24-dind", ("docker.io", "library/docker", "24-dind")),
        ("https://quay.io/a/b:1", ("quay.io", "a/b", "1")),
        ("oci://ghcr.io/a/chart:1", ("ghcr.io", "a/chart", "1")),
    ],
)
def test_prefixes_of_other_tools_are_taken_off(text, source):
    """A name without a registry is on Docker Hub."""
    (mirror,) = build_copy_config(text, "docker://r.io/x:1", registries=RegistriesConfig()).mirrors

    assert (mirror.source.registry, *mirror.source.repositories, *mirror.tags.names) == source
    assert (mirror.destinations[0].registry, mirror.destinations[0].repository) == ("r.io", "x")


@pytest.mark.parametrize(
    ("source", "destination", "platforms", "message", "hint"),
    [
        ("nginx", "localhost:5000", (), "'localhost:5000' names no repository", "write localhost:5000/REPOSITORY:TAG"),
        (f"r.io/x@{image(1).digest}", "oci-layout:./dir", (), "a source by digest needs a destination with a tag", "write oci-layout:./dir:r.io/x:TAG"),
        ("r.io/x", "oci-layout:./dir:y:1", (), "cannot copy a whole repository to one tag", "add a tag to the source, or write oci-layout:./dir:y"),
        (
            "r.io/x:1",
            "oci-layout:dir",
            (),
            "registries.yaml has no layout named 'dir'",
            "declared: none; the operator of registries.yaml can add it: `layouts: {dir: {path: FOLDER}}`; or write a path: oci-layout:./dir",
        ),
        ("registry.k8s.io", "r.io/x", (), "'registry.k8s.io' names no repository", "write registry.k8s.io/REPOSITORY:TAG"),
        ("nginx", "http://r.io/x", (), "'http://r.io/x' is written as a URL", "write it without http://: r.io/x; for plain http, set `tls: false`"),
        ("docker-archive:a.tar", "r.io/x", (), "`docker-archive:` does not name a registry or an OCI layout", "write oci-layout:PATH for `imgsync copy`"),
        ("../a.tar", "r.io/x", (), "'../a.tar' is a path", "write oci-layout:../a.tar for an OCI layout, or for an archive of images"),
        ("r.io/x:1", "/usb/a", (), "'/usb/a' is a path", "write oci-layout:/usb/a"),
        (
            "r.io/x:1",
            "oci-layout:./a.tar.gz:x:1",
            (),
            "imgsync writes layouts into folders, not into archives",
            "write oci-layout:./a, and then pack it: tar -C ./a -cf ./a.tar .",
        ),
        ("nginx", "r.io/mirror/nginx", ("amd64",), "'amd64' is not a platform; write linux/amd64", ""),
        ("nginx", "r.io/mirror/nginx", ("linux/x86_64",), "images do not call a platform 'linux/x86_64'; write linux/amd64", ""),
    ],
)
def test_argument_that_is_no_image_is_an_error(source, destination, platforms, message, hint):
    """Before any request."""
    with pytest.raises(ImgsyncError) as caught:
        build_copy_config(source, destination, registries=RegistriesConfig(), platforms=platforms)

    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("source", "destination", "message", "hint"),
    [
        (
            "quay.io/a/b:1",
            "r.io/mirror/b:1",
            "quay.io/a/b is not allowed by registries.yaml",
            "allowed: docker.io/library; the operator of registries.yaml can allow more, and --registries names another file",
        ),
        (
            "nginx:1",
            "r.io/mirrors/nginx:1",
            "r.io/mirrors/nginx is not allowed by registries.yaml",
            "allowed: r.io/mirror; the operator of registries.yaml can allow more, and --registries names another file",
        ),
        (
            "nginx:1",
            "oci-layout:./dir",
            "oci-layout:./dir:docker.io/library/nginx is not allowed by registries.yaml",
            f"{ALLOW_MORE}; a path is allowed by a name that `layouts` gives it: `layouts: {{NAME: {{path: PATH}}}}`, and oci-layout:NAME under `allow`",
        ),
    ],
)
def test_copy_obeys_the_allow_list(source, destination, message, hint):
    """As mirrors.d does."""
    build_copy_config("nginx:1", "r.io/mirror/nginx:1", registries=ALLOWED)

    with pytest.raises(ImgsyncError) as caught:
        build_copy_config(source, destination, registries=ALLOWED)

    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.row("CFG-11")
def test_copy_that_is_not_allowed_sends_nothing(lab):
    """Exit 3, with the rule."""
    lab.push("app", "1", image(1))
    lab.declare("app", registries=f"allow: {{destinations: [{lab.destination.host}/other]}}\n")

    ran = lab.run("copy", f"{lab.source.host}/{lab.name}/app:1", f"{lab.destination.host}/m/app:1")

    assert ran.code == 3
    assert f"{lab.destination.host}/m/app is not allowed by registries.yaml" in ran.stderr
    assert (lab.source.seen, lab.destination.seen) == ([], [])
