"""The layouts of a run, each opened once."""

from __future__ import annotations

import os
from collections.abc import Callable

from imgsync.concurrency.native_thread import NativeThread
from imgsync.config.model import RegistriesConfig
from imgsync.errors import UsageError
from imgsync.oci.layout.open_layout import OpenLayout
from imgsync.oci.layout.store import LayoutStore
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.reference import LAYOUT_PREFIX

# A disk that syncs serves few at once; more threads would only wait.
_THREADS = 8


class Layouts:
    """Opens layouts by name. All are closed together."""

    def __init__(self, settings: RegistriesConfig, *, on_warning: Callable[[str, str], None]) -> None:
        """Open layouts of *settings*; *on_warning* receives a name and a text."""
        self._settings = settings
        self._on_warning = on_warning
        self._threads: NativeThread | None = None
        self._layouts: dict[str, OpenLayout] = {}

    def make_store(self, registry: str, origin: str, retry_policy: RetryPolicy, *, check_write: Callable[[], None] | None) -> LayoutStore:
        """
        Return the layout that references call *registry*.

        Raises:
            UsageError: registries.yaml declares no such layout.
        """
        name = registry.removeprefix(LAYOUT_PREFIX)
        layout = self._layouts.get(name)
        if layout is None:
            settings = self._settings.layouts.get(name)
            if settings is None:
                raise UsageError(f"registries.yaml has no layout named {name!r}", hint=f"declare it: `layouts: {{{name}: {{path: FOLDER}}}}`")
            threads = self._threads = self._threads or NativeThread(_THREADS)
            layout = self._layouts[name] = OpenLayout(
                name,
                os.path.expanduser(settings.path),  # noqa: PTH111 - a path without a home stays as it is
                repository=settings.repository,
                run_blocking=threads.run,
                on_warning=lambda text: self._on_warning(registry, text),
                fence=check_write,
            )
        return LayoutStore(registry, origin, layout, retry_policy)

    def close(self) -> None:
        """Close every layout."""
        for layout in self._layouts.values():
            layout.close()
        self._layouts = {}
        if self._threads is not None:
            self._threads.close()
