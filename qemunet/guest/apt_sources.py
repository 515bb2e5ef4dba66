"""Which of the host's apt sources serve its own distribution.

Others are left alone: they may lack a foreign architecture or not answer, and no image needs them.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path

from qemunet.errors import HostError

_ETC_APT = Path("/etc/apt")


def distribution_sources(directory: Path = _ETC_APT) -> str:
    """The host's sources of Debian packages in the form of a ``.sources`` file.

    Raises:
        HostError: There is none.
    """
    try:
        codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        codename = ""
    kept: list[str] = []
    for path in sorted([*directory.glob("sources.list"), *directory.glob("sources.list.d/*")]):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            stanzas = _one_line_stanzas(text)
        elif path.suffix == ".sources":
            stanzas = _deb822_stanzas(text)
        else:
            continue
        kept += [stanza for fields in stanzas if (stanza := _own_stanza(fields, codename))]
    if not kept:
        raise HostError(
            f"{directory} names no source of {codename or 'Debian'} main, from which guest images are built",
            hint="build on Debian, or add a Debian mirror to /etc/apt/sources.list",
        )
    return "\n".join(dict.fromkeys(kept))


def _own_stanza(fields: dict[str, str], codename: str) -> str | None:
    """The stanza without what others added, or None if it is not the distribution's."""
    types, components = fields.get("types", "").split(), fields.get("components", "").split()
    uris = fields.get("uris", "").split()
    suites = [suite for suite in fields.get("suites", "").split() if _own_suite(suite, uris, codename)]
    disabled = fields.get("enabled", "yes").lower() in ("no", "false", "0")
    if disabled or "deb" not in types or "main" not in components or not suites or not uris:
        return None
    lines = ["Types: deb", f"URIs: {' '.join(uris)}", f"Suites: {' '.join(suites)}", "Components: main"]
    for key in ("signed-by", "trusted"):
        if value := fields.get(key):
            lines.append(f"{key.title()}: {value}")
    return "\n".join(lines) + "\n"


def _own_suite(suite: str, uris: list[str], codename: str) -> bool:
    name = re.sub(r"(-updates|-security|/updates)$", "", suite)
    if codename and name == codename:
        return True
    # `stable main` is what other vendors call theirs, too; Debian's archives end in the distribution's name.
    own_archive = all(re.search(r"/(debian|debian-security|ubuntu|ubuntu-ports)/*$", uri) for uri in uris)
    return own_archive and name in ("oldstable", "stable", "testing", "unstable", "sid")


def _one_line_stanzas(text: str) -> Iterator[dict[str, str]]:
    """The lines of a ``.list`` file: ``deb [option=value …] URI SUITE COMPONENT…``."""
    for line in text.splitlines():
        words = re.fullmatch(r"\s*(deb)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]+).*", line)
        if words is None:
            continue
        fields = {"types": words[1], "uris": words[3], "suites": words[4], "components": words[5]}
        for option in (words[2] or "").split():
            key, _, value = option.partition("=")
            fields[key.lower()] = value
        yield fields


def _deb822_stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a ``.sources`` file; a field may go on in lines that begin with a blank."""
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                if key:
                    fields[key] += "\n" + line
                continue
            name, colon, value = line.partition(":")
            if colon:
                key = name.strip().lower()
                fields[key] = value.strip()
        if fields:
            yield fields
