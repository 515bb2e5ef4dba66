"""Jinja2 pages: templates, filters, one file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from qemunet import __version__
from qemunet.report.text import clean

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, context: Mapping[str, Any], *, title: str, origin: str) -> str:
    """Return a whole page.

    Args:
        template: Its file, without ``.html.j2``.
        context: What it shows.
        title: Of the page, as text.
        origin: Where what it shows lies, for its foot.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["bytes"] = size
    return environment.get_template(f"{template}.html.j2").render(
        **context,
        version=__version__,
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        title=title,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        origin=origin,
    )


def _visible(value: object) -> object:
    """Make whatever text is shown fit for a page, wherever it came from; what is HTML already is so."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def size(count: int) -> str:
    """Write a number of bytes for a person."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            break
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def whole(count: object) -> str:
    """Write an integer with a thin space between thousands; what is none reads –."""
    return f"{count:,}".replace(",", "\u202f") if isinstance(count, int) else "–"


def short(value: object) -> str:
    """Write a value of a metric or a parameter."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, dict)):
        import json

        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 400 else text[:399] + "…"
    text = str(value)
    return text if len(text) <= 2000 else text[:1999] + "…"


def span(seconds: float) -> str:
    """Write a time for a person."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def look_of(status: str, verdict: object = None) -> dict[str, str]:
    """Return how a status is shown: colour, sign and words, so that none of them alone has to tell it."""
    words = f"unfaithful, would have {verdict}" if status == "unfaithful" and verdict else status
    colour, sign = {
        "passed": ("good", "✓"),
        "failed": ("bad", "✕"),
        "error": ("bad", "!"),
        "unfaithful": ("warn", "≈"),
        "interrupted": ("calm", "■"),
        "running": ("calm", "▶"),
    }.get(status, ("calm", "?"))
    return {"colour": colour, "sign": sign, "text": words}


def host_rows(host: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]] | None:
    """Return what a report shows of host.json: the machine, and versions."""
    if not host:
        return None
    memory, available = host.get("memory_bytes"), host.get("memory_available_bytes")
    load = host.get("load_average")
    facts: list[tuple[str, object]] = [
        ("Host", host.get("hostname")),
        ("System", host.get("system")),
        ("Kernel", f"{host['kernel']} {host.get('machine', '')}" if host.get("kernel") else None),
        ("Processor", host.get("cpu_model")),
        ("Cores", f"{host.get('cores_usable')} of {host['cores']} usable" if host.get("cores") else None),
        ("Memory", _bytes(memory)),
        ("Memory available when it began", _bytes(available)),
        ("Load when it began", ", ".join(f"{each:.2f}" for each in load) if isinstance(load, list) else None),
        ("Hypervisor", host.get("hypervisor")),
        ("CPU governor", host.get("cpu_governor")),
    ]
    limits = host.get("cgroup")
    if isinstance(limits, Mapping):
        facts += [(f"cgroup {name}", value) for name, value in limits.items() if value not in (None, "max")]
    for arch, choice in (host.get("accel") or {}).items():
        facts.append((f"Acceleration, {arch}", choice if isinstance(choice, str) else _joined(choice)))
    versions = {"python": host.get("python"), **(host.get("versions") or {})}
    versions |= {f"qemu ({arch})": version for arch, version in (host.get("qemu") or {}).items()}
    return {
        "machine": [(name, short(value)) for name, value in facts if value is not None],
        "versions": [(name, short(value)) for name, value in versions.items() if value is not None],
    }


def _joined(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {short(inner)}" for key, inner in value.items() if inner is not None)
    return short(value)


def _bytes(value: object) -> str | None:
    return size(value) if isinstance(value, int) else None
