"""Draw what a terminal shows, as an SVG that loads nothing."""

from __future__ import annotations

import io
import re

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

_THEME = TerminalTheme(
    (27, 31, 36),
    (230, 237, 243),
    [(110, 118, 129), (255, 123, 114), (86, 211, 100), (227, 179, 65), (121, 192, 255), (210, 168, 255), (86, 212, 221), (230, 237, 243)],
    [(139, 148, 158), (255, 161, 152), (126, 231, 135), (242, 204, 96), (165, 214, 255), (226, 197, 255), (118, 227, 234), (255, 255, 255)],
)
_FORM = """\
<svg viewBox="0 0 {terminal_width} {terminal_height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px }}
{styles}
</style>
<rect fill="#1b1f24" width="100%" height="100%" rx="8"/>
<defs>
{lines}
</defs>
<g transform="translate(12, 10)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(command: str, output: str, *, columns: int) -> str:
    """Return the picture of *command* and its *output*, which may have escapes for colours."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.assemble(("$ ", "bright_black"), (command, "bold")))
    console.print(Text.from_ansi(output.rstrip()))
    drawn = console.export_svg(title="", theme=_THEME, code_format=_FORM, unique_id="plan")
    return re.sub(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', lambda box: f'viewBox="0 0 {float(box[1]) + 24:.0f} {float(box[2]) + 30:.0f}"', drawn, count=1)
