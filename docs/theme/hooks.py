"""Show the version of imgsync on every page of the site."""

from __future__ import annotations

from typing import Any

import imgsync


def on_config(config: Any) -> Any:
    """Add the version to the footer, and to the link to the repository."""
    config.extra["version_text"] = f"version {imgsync.__version__}"
    config.copyright = f"imgsync {imgsync.__version__}, Apache-2.0"
    return config
