"""Pieces of SVG: numbers, words, colours that follow the page's theme where there is one."""

from __future__ import annotations

import re
from html import escape

from qemunet.report.text import clean

FONT = "'DejaVu Sans', Verdana, 'Segoe UI', Arial, sans-serif"

_VARIABLE = re.compile(r"var\(--[a-z-]+, *(#[0-9a-fA-F]{3,8})\)")
_CHARACTER = 0.6  # width of DejaVu Sans, in shares of the font's size


def number(value: float) -> str:
    """Write a length with as many decimals as can be seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def words(text: str) -> str:
    """Escape text for an element or an attribute."""
    return escape(clean(text), quote=True)


def fitted(text: str, room: float, size: float, *, keep_end: bool = False) -> str:
    """Cut text to what fits a room at a size, both in units of the picture; empty where nothing worth it does.

    What is cut is the end, or the middle where ``keep_end``: names often differ in their ends.
    """
    most = int(room / (size * _CHARACTER))
    if len(text) <= most:
        return text
    if most < 4:
        return ""
    end = most // 2 if keep_end else 0
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def width_of(text: str, size: float) -> float:
    """Return about how wide a text is."""
    return len(text) * size * _CHARACTER


def rectangle(x: float, y: float, width: float, height: float, look: str, *, round_: float = 0, title: str = "") -> str:
    """A rectangle, with a title that says what it is."""
    corner = f' rx="{number(round_)}"' if round_ else ""
    inside = f"><title>{words(title)}</title></rect>" if title else "/>"
    return f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"{corner} {look}{inside}'


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    """A straight line."""
    return f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}" {look}/>'


def text(x: float, y: float, what: str, look: str) -> str:
    """Words that stand on a point."""
    return f'<text x="{number(x)}" y="{number(y)}" {look}>{words(what)}</text>'


def standalone(svg: str) -> str:
    """Return a picture as a file of its own: colours are those of the light theme, on white."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _VARIABLE.sub(r"\1", svg) + "\n"
