"""Debian packages of any architecture, fetched with ``apt-get`` under a state directory of our own.

The host's sources and network settings (proxies, authentication, keys) are used; its package state is neither read nor
changed, and nothing of a package is run.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qemunet.errors import HostError
from qemunet.guest.apt_sources import distribution_sources
from qemunet.guest.files import require_program
from qemunet.progress import Progress


@dataclass(frozen=True)
class Package:
    """A package that can be downloaded.

    Attributes:
        depends: Names of the packages it depends on, the first of each group of alternatives.
        size_bytes: Of the archive.
    """

    name: str
    version: str
    section: str
    depends: tuple[str, ...]
    filename: str
    size_bytes: int
    sha256: str


class Apt:
    """Packages of one architecture.

    Args:
        directory: Ours; made if missing. One user at a time: the caller holds a lock.
        architecture: Debian's name of it.

    Raises:
        MissingRequirement: apt is not installed.
        HostError: The host has no source of Debian packages.
    """

    def __init__(self, directory: Path, architecture: str) -> None:
        for program in ("apt-get", "apt-cache", "apt-config"):
            require_program(program, package="apt")
        self._directory = directory
        self._architecture = architecture
        self._update_failure = ""
        for part in ("lists/partial", "archives/partial", "sources"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        (directory / "status").write_text("")
        (directory / "sources" / "distribution.sources").write_text(distribution_sources())
        self._configuration = directory / "apt.conf"
        self._configuration.write_text(self._settings())

    def _settings(self) -> str:
        """Our apt.conf: of the host's only what says how to reach the sources; not its hooks and its pins."""
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
        kept = [line for line in dump.splitlines() if re.match(r'Acquire::\S+ ".*";$', line)]
        here = self._directory
        return "\n".join(
            [
                *kept,
                'Dir::Etc::parts "/dev/null";',
                'Dir::Etc::main "/dev/null";',
                'Dir::Etc::sourcelist "/dev/null";',
                f'Dir::Etc::sourceparts "{here / "sources"}";',
                'Dir::Etc::preferences "/dev/null";',
                'Dir::Etc::preferencesparts "/dev/null";',
                f'Dir::State "{here}";',
                f'Dir::State::lists "{here / "lists"}";',
                f'Dir::State::status "{here / "status"}";',
                f'Dir::Cache "{here}";',
                f'Dir::Cache::archives "{here / "archives"}";',
                f'APT::Architecture "{self._architecture}";',
                f'APT::Architectures {{ "{self._architecture}"; }};',
                'APT::Sandbox::User "";',
                'Acquire::Languages "none";',
                'Debug::NoLocking "1";',
                "",
            ]
        )

    def update(self, progress: Progress) -> None:
        """Fetch the lists of packages.

        A source that cannot be reached is no error yet: the lists of an earlier time, or the other sources, may do.
        """
        with progress.step(f"lists of Debian packages for {self._architecture}"):
            done = self._run("apt-get", "update")
            if done.returncode != 0 or "\nW:" in done.stderr or done.stderr.startswith("W:"):
                self._update_failure = done.stderr.strip()

    def show(self, names: Iterable[str]) -> dict[str, Package]:
        """The newest version of each package; a name that does not exist is not in the result."""
        wanted = sorted(set(names))
        if not wanted:
            return {}
        done = self._run("apt-cache", "show", "--no-all-versions", *wanted)
        packages: dict[str, Package] = {}
        for stanza in done.stdout.split("\n\n"):
            fields = _fields(stanza)
            if "Package" in fields and "Filename" in fields:
                package = _package(fields)
                packages.setdefault(package.name, package)
        return packages

    def find(self, names: Iterable[str]) -> dict[str, Package]:
        """As ``show``, but every name must exist.

        Raises:
            HostError: One does not; the message has what apt said.
        """
        wanted = list(names)
        packages = self.show(wanted)
        missing = [name for name in wanted if name not in packages]
        if missing:
            reason = f"; apt-get update said:\n{self._update_failure}" if self._update_failure else ""
            raise HostError(
                f"no Debian package {', '.join(missing)} for {self._architecture} in the host's sources{reason}",
                hint="check the network and that /etc/apt names a Debian mirror that serves "
                f"{self._architecture}, then try again",
            )
        return packages

    def download(self, packages: Sequence[Package], progress: Progress) -> Mapping[str, Path]:
        """Fetch packages, each once; the result maps names to files.

        Raises:
            HostError: A download failed.
        """
        archives = self._directory / "archives"
        files = {package.name: archives / Path(package.filename).name for package in packages}
        missing = [package for package in packages if not self._is_whole(files[package.name], package)]
        total = sum(package.size_bytes for package in missing) / 1e6
        if not missing:
            return files
        with progress.step(
            f"{len(missing)} Debian packages for {self._architecture} ({total:.0f} MB)", total=100
        ) as step:
            names = [f"{package.name}={package.version}" for package in missing]
            with subprocess.Popen(
                ["apt-get", "-o", "APT::Status-Fd=1", "download", *names],
                cwd=archives / "partial",
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as apt:
                said: list[str] = []
                for line in apt.stdout or ():
                    if status := re.match(r"dlstatus:\d+:([\d.]+):", line):
                        step.update(done=float(status[1]))
                    elif line.startswith(("E:", "W:", "Err:")):
                        said.append(line.rstrip())
            for package in missing:
                self._accept(package, files[package.name], apt.returncode, said)
        return files

    def _accept(self, package: Package, target: Path, status: int, said: Sequence[str]) -> None:
        """Move a downloaded package to its place, so that what lies there is always whole."""
        partial = self._directory / "archives" / "partial"
        # apt-get download writes the version's colon as %3a, the archive's own name has none.
        version = package.version.replace(":", "%3a")
        found = next(iter(partial.glob(f"{package.name}_{version.replace('[', '[[]')}_*.deb")), None)
        if found is None or not self._is_whole(found, package):
            raise HostError(
                f"apt-get could not download {package.name} {package.version} for {self._architecture} "
                f"(status {status}): " + ("\n".join(said) or "it said nothing"),
                hint="check the network (and the proxy, if there is one), then try again: what was fetched is kept",
            )
        found.replace(target)

    @staticmethod
    def _is_whole(path: Path, package: Package) -> bool:
        try:
            if path.stat().st_size != package.size_bytes:
                return False
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == package.sha256
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "APT_CONFIG": str(self._configuration), "LC_ALL": "C.UTF-8"}

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )


def _fields(stanza: str) -> dict[str, str]:
    """The one-line fields of a control stanza."""
    fields: dict[str, str] = {}
    for line in stanza.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t")):
            fields[name] = value.strip()
    return fields


def _package(fields: Mapping[str, str]) -> Package:
    depends = []
    for field in ("Pre-Depends", "Depends"):
        for group in fields.get(field, "").split(","):
            if name := re.match(r"\s*([a-z0-9][a-z0-9+.-]*)", group):
                depends.append(name[1])
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        section=fields.get("Section", ""),
        depends=tuple(depends),
        filename=fields["Filename"],
        size_bytes=int(fields["Size"]),
        sha256=fields["SHA256"],
    )
