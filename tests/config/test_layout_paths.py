"""Layouts are named by their paths on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsync.config.copy_config import build_copy_config
from imgsync.config.model import LayoutSettings, RegistriesConfig
from imgsync.errors import ImgsyncError, UsageError
from tests.support.images import image
from tests.support.layouts import REF_NAME, LayoutOnDisk, named


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """Return an empty layout, `./images` of the working folder."""
    monkeypatch.chdir(tmp_path)
    return LayoutOnDisk(tmp_path / "images").make()


def copy(origin: str, destination: str, registries: RegistriesConfig | None = None):
    """Return source, tags and destination of the only mirror, without the names of layouts."""
    config = build_copy_config(origin, destination, registries=registries or RegistriesConfig())
    (mirror,) = config.mirrors
    (target,) = mirror.destinations
    return mirror.source.repositories[0], mirror.tags.names, target.repository, target.tag


@pytest.mark.parametrize(
    ("written", "path", "tag"),
    [
        ("oci-layout:./new", "docker.io/library/nginx", "1.27"),
        ("oci-layout:./new:stable", "docker.io/library/nginx", "stable"),
        ("oci-layout:./new:outside/nginx", "outside/nginx", "1.27"),
        ("oci-layout:./new:outside/nginx:stable", "outside/nginx", "stable"),
        ("oci-layout:./new:nginx:stable", "nginx", "stable"),
        ("oci-layout:../a@b/new:nginx:stable", "nginx", "stable"),
    ],
)
def test_destination_is_named_by_the_source_or_as_written(layout, written, path, tag):
    """A path, and what is behind its first colon."""
    assert copy("nginx:1.27", written) == ("library/nginx", ("1.27",), path, tag)


def test_registry_with_a_port_becomes_a_path(layout):
    """A repository has no colon."""
    assert copy("localhost:5000/team/app:1", "oci-layout:./new")[2] == "localhost_5000/team/app"


@pytest.mark.parametrize(
    ("written", "path", "names"),
    [
        ("oci-layout:./images", "outside/app", ("1",)),
        ("oci-layout:./images:1", "outside/app", ("1",)),
        ("oci-layout:./images:outside/app:1", "outside/app", ("1",)),
        ("oci-layout:./images:outside/app", "outside/app", ()),
        ("oci-layout:./images:outside/other:9", "outside/other", ("9",)),
    ],
)
def test_source_is_the_only_image_or_as_written(layout, written, path, names):
    """Signatures are not images."""
    content = layout.add(image(1), annotations=named("outside/app:1"))
    layout.add(image("sig"), annotations=named(f"outside/app:{content.digest.replace(':', '-')}.sig"))

    assert copy(written, "r.io/x")[:2] == (path, names)
    assert copy(f"oci-layout:./images@{content.digest}", "r.io/x:1")[:2] == ("outside/app", (content.digest,))


def test_image_without_a_name_is_taken_by_digest(layout):
    """As crane writes it."""
    content = layout.add(image(1))

    assert copy("oci-layout:./images", "r.io/x:1")[1] == (content.digest,)


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("oci-layout:./images", "the layout images has more than one image", "it has outside/app:1, outside/app:2"),
        ("oci-layout:./images:3", "the layout images has no image '3'", "it has outside/app:1, outside/app:2"),
        ("oci-layout:./images:outside/App:3", "'outside/App:3' is not a repository and a tag", "such as outside/nginx:1.27"),
        ("oci-layout:./none", "none cannot be read: No such file or directory", "name the folder of an OCI layout, or an archive of images"),
        ("oci-layout:~nobody-here/x", "'~nobody-here/x' is not a path", "oci-layout:PATH:REPOSITORY:TAG"),
    ],
)
def test_source_that_is_not_clear_is_an_error(layout, written, message, hint):
    """It lists what there is."""
    for tag in ("1", "2"):
        layout.add(image(tag), annotations=named(f"outside/app:{tag}"))

    with pytest.raises(ImgsyncError) as caught:
        copy(written, "r.io/x:1")

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_many_names_are_cut(layout):
    """The error stays readable, whatever a layout holds."""
    for number in range(30):
        layout.add(image(1), annotations={REF_NAME: f"outside/app:{number}"})

    with pytest.raises(UsageError) as caught:
        copy("oci-layout:./images", "r.io/x:1")

    assert caught.value.hint.endswith("and 10 more")


def test_two_folders_of_one_name_are_two_layouts(layout, tmp_path):
    """The state must not take one for the other; a declared layout keeps its name."""

    def find_name(path: str, registries: RegistriesConfig | None = None) -> str:
        config = build_copy_config("nginx:1", path, registries=registries or RegistriesConfig())
        return config.mirrors[0].destinations[0].registry

    one, two = find_name("oci-layout:./a/disk"), find_name("oci-layout:./b/disk")
    assert one.startswith("oci-layout:disk-")
    assert two.startswith("oci-layout:disk-")
    assert one != two
    assert find_name("oci-layout:./a/disk") == one
    assert find_name(f"oci-layout:{tmp_path}/a/disk") == one
    declared = RegistriesConfig(layouts={"usb": LayoutSettings(str(Path("a/disk").absolute()))})
    assert find_name("oci-layout:./a/disk", declared) == "oci-layout:usb"
    assert find_name("oci-layout:usb", declared) == "oci-layout:usb"


def test_allow_list_holds_for_paths(layout):
    """Where `allow` is set, a layout is declared and allowed by its name."""
    with pytest.raises(UsageError, match=r"oci-layout:\./new:docker\.io/library/nginx is not allowed by registries\.yaml"):
        copy("nginx:1", "oci-layout:./new", RegistriesConfig(allowed_destinations=("oci-layout:usb",)))
