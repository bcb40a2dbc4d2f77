"""Show progress as bars on a terminal; never on stdout."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from imgsync.concurrency.greenlets import call_every
from imgsync.logs.stream import LogStream
from imgsync.progress.counts import Counts, RunningImage
from imgsync.progress.layout import Line, Style, format_share, format_time, make_line
from imgsync.progress.live_lines import LiveLines
from imgsync.text.units import choose_noun, format_bytes

_REFRESH_SECONDS = 0.1
_MOST_IMAGE_BARS = 8
# Below this, texts are shorter.
_WIDE = 79


class Bars:
    """Lines for planning, for all copies, and for each running image."""

    def __init__(self, counts: Counts, stream: LogStream, style: Style, *, find_size: Callable[[], os.terminal_size], verb: str, noun: str) -> None:
        """
        Draw *counts* below the log lines of *stream*.

        Args:
            counts: What to show.
            stream: Writes to the terminal.
            style: What the terminal can show.
            find_size: Returns its size.
            verb: What is done before the first copy, such as "Planning".
            noun: What a selected tag is called.
        """
        self._counts = counts
        self._stream = stream
        self._style = style
        self._verb = verb
        self._noun = noun
        self._lines = LiveLines(self.render, find_size=find_size, rewraps=style.rewraps)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars."""
        self._erase()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Remove the bars within the block."""
        self._erase()
        yield
        self._draw()

    def render(self, width: int) -> Sequence[Line]:
        """Return the lines for *width* columns."""
        counts = self._counts
        if counts.images_to_read is not None:
            return [self._render_reading(counts.images_to_read, width)]
        planning = [self._render_planning(width)] if counts.images_total is None else []
        return [*planning, *([self._render_total(width), *self._render_images(width)] if counts.has_started_copying else [])]

    def _draw(self) -> None:
        # Nothing at first: most plans take less than a moment.
        self._stop_refresh = call_every(_REFRESH_SECONDS, lambda: self._stream.show(self._lines))

    def _erase(self) -> None:
        self._stop_refresh()
        self._stream.hide()

    def _render_planning(self, width: int) -> Line:
        counts = self._counts
        done = counts.repositories_listed + counts.tags_looked_up
        total = counts.repositories + counts.tags
        parts = [f"{counts.repositories_listed:,} of {_count(counts.repositories, 'repository', 'repositories')}"] if counts.repositories else []
        parts += [f"{counts.tags_looked_up:,} of {_count(counts.tags, self._noun)}"] if counts.tags else []
        parts += [_count(counts.requests, "request")] if width >= _WIDE or not total else []
        right = f"{', '.join(parts)}, {format_time(counts.seconds)}"
        return make_line(self._style, self._verb, done / total if total else None, right, width=width)

    def _render_total(self, width: int) -> Line:
        counts = self._counts
        total, left = counts.bytes_total, counts.left_seconds
        of_all = "" if counts.images_total is None else f" of {counts.images_total:,}" if width >= _WIDE else f"/{counts.images_total:,}"
        many = counts.images_done if counts.images_total is None else counts.images_total
        images = f"{counts.images_done:,}{of_all} {choose_noun(many, counts.noun)}"
        moved = format_bytes(counts.bytes_copied) if total is None else format_share(counts.bytes_copied, total)
        ends = "stopping" if counts.is_stopping else "" if left is None else f"{format_time(left)} left"
        right = f"{moved} {format_bytes(round(counts.rate.per_second))}/s {ends}".rstrip()
        return make_line(self._style, images, counts.bytes_copied / total if total else None, right, width=width)

    def _render_images(self, width: int) -> list[Line]:
        images = list(self._counts.running.values())
        # Those that move most are what a reader waits for.
        shown = sorted(images, key=lambda image: image.total_bytes, reverse=True)[:_MOST_IMAGE_BARS]
        shares = [format_share(image.moved_bytes, image.total_bytes) for image in shown]
        share_width = max(map(len, shares), default=0)
        name_width = min(max((len(image.name) for image in shown), default=0), (width - share_width) * 3 // 5)
        lines = [self._render_image(image, share.rjust(share_width), name_width, width) for image, share in zip(shown, shares, strict=True)]
        hidden = f"  and {len(images) - len(shown)} more"
        return lines if len(images) <= len(shown) else [*lines, Line(hidden, len(hidden))]

    def _render_image(self, image: RunningImage, share: str, name_width: int, width: int) -> Line:
        name = self._style.shorten(image.name, name_width).ljust(name_width)
        return make_line(self._style, f"  {name}", image.moved_bytes / image.total_bytes if image.total_bytes else 0.0, share, width=width)

    def _render_reading(self, images: int, width: int) -> Line:
        counts = self._counts
        right = f"{counts.images_read:,} of {_count(images, 'image')} {format_bytes(counts.bytes_read)} {format_bytes(round(counts.rate.per_second))}/s"
        return make_line(self._style, "Reading", counts.images_read / images if images else None, right, width=width)


def _count(count: int, name: str, names: str = "") -> str:
    return f"{count:,} {choose_noun(count, name, names)}"
