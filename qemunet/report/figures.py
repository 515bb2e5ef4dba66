"""matplotlib's pictures inside the page: no names that clash, colours that follow its theme, nothing from elsewhere."""

from __future__ import annotations

import re

from qemunet.report.svg import FONT, words

_THEMED = {
    "#1f2933": "ink",
    "#6b7785": "soft",
    "#ffffff": "paper",
    "#d5dbe3": "line",
    "#4a5563": "wire",
    "#0072b2": "series-a",
    "#d55e00": "series-b",
    "#009e73": "series-c",
    "#b0559a": "series-d",
    "#a87900": "series-e",
    "#3a9ad9": "series-f",
    "#5a5a5a": "series-g",
    "#8c3b1b": "series-h",
    "#1b5fab": "blue",
    "#b84a12": "rust",
    "#6d33a8": "violet",
    "#157a4c": "green",
    "#cfe3fb": "blue-fill",
    "#d3f0e0": "green-fill",
    "#fff0c2": "sand-fill",
    "#fbdccb": "rust-fill",
    "#ecdcfa": "violet-fill",
    "#e4e8ed": "wire-fill",
}
"""Colours of the pictures that the page has a variable for."""

_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(xlink:href="#|url\(#)([^")]+)')
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_FONT = re.compile(r"'DejaVu Sans'(?:, sans-serif)?")


def for_paper(svg: str) -> str:
    """Return a picture of matplotlib's as a file for a paper: with fonts that other machines have as well."""
    return _FONT.sub(FONT, svg)


def inline(svg: str, *, name: str, title: str, about: str = "") -> str:
    """Return a picture of matplotlib's as part of a page.

    Args:
        svg: The whole file.
        name: Unique in the page.
        title: What the picture is, for who does not see it.
        about: What it shows.
    """
    body = _METADATA.sub("", _PROLOGUE.sub("", svg))
    body = _ID.sub(lambda match: f'id="{name}-{match[1]}"', body)
    body = _REFERENCE.sub(lambda match: f"{match[1]}{name}-{match[2]}", body)
    body = for_paper(body)
    body = _COLOUR.sub(lambda match: _colour(match[0]), body)
    start, _, rest = body.partition(">")
    described = f'<title id="{name}-title">{words(title)}</title>'
    described += f'<desc id="{name}-about">{words(about)}</desc>' if about else ""
    labels = f"{name}-title {name}-about" if about else f"{name}-title"
    return f'{start} role="img" aria-labelledby="{labels}">{described}{rest}'


def _colour(colour: str) -> str:
    variable = _THEMED.get(colour)
    return f"var(--{variable}, {colour})" if variable else colour
