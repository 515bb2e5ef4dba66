"""A plain Debian, made without our image's help: sysvinit, a login on the one serial port, the kernel speaking there too.

It is what anybody may have on a disk: nothing in it knows of qemunet. It is made once, from the Debian packages that this
computer's own sources offer, and kept with other things in the cache.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qemunet.guest.apt_sources import distribution_sources
from qemunet.guest.files import cache_directory, locked
from qemunet.progress import Progress

PROGRAMS = ("mmdebstrap", "mke2fs")
"""What making it needs; both are Debian packages (mmdebstrap, e2fsprogs)."""

_PACKAGES = "sysvinit-core,initramfs-tools,iproute2,iputils-ping,login,procps,util-linux"
_KERNELS = {"x86_64": "linux-image-cloud-amd64", "aarch64": "linux-image-cloud-arm64"}
_TERMINALS = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}
_DISK = "600M"

# Run in the new root ($1) before any package but the essential ones, so that the initramfs is made once, and small.
# devtmpfs has the disk; udev, in it and later, would take half of an emulated boot to find out what is known.
_BEFORE = r"""#!/bin/sh
set -e
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=lz4\n' >"$1/etc/initramfs-tools/conf.d/small"
printf 'virtio_pci\nvirtio_blk\next4\n' >"$1/etc/initramfs-tools/modules"
echo 'path-exclude=/usr/share/initramfs-tools/*/udev' >"$1/etc/dpkg/dpkg.cfg.d/small"
echo 'path-exclude=/usr/share/initramfs-tools/scripts/*/udev' >>"$1/etc/dpkg/dpkg.cfg.d/small"
"""

# Run when all packages are there. Only the root itself goes to the disk, without what is mounted in it meanwhile.
_AFTER = r"""#!/bin/sh
set -e
echo 'root:{password}' | chroot "$1" chpasswd
echo plain >"$1/etc/hostname"
printf '127.0.0.1 localhost plain\n' >"$1/etc/hosts"
printf '/dev/vda / ext4 noatime 0 0\n' >"$1/etc/fstab"
cat >"$1/etc/inittab" <<'E'
id:2:initdefault:
si::sysinit:/etc/rc.small
l0:0:wait:/etc/init.d/rc 0
l6:6:wait:/etc/init.d/rc 6
S0:2:respawn:/sbin/getty -L {terminal} 115200 vt100
E
cat >"$1/etc/rc.small" <<'E'
#!/bin/sh
mount -t devtmpfs -o nosuid,mode=755 devtmpfs /dev
for name in mountkernfs.sh mountdevsubfs.sh hostname.sh; do /etc/init.d/$name start; done
modprobe -a virtio_net virtio_rng
ip link set lo up
E
chmod 755 "$1/etc/rc.small"
cp "$1"/boot/vmlinuz-* "{directory}/vmlinuz"
cp "$1"/boot/initrd.img-* "{directory}/initrd"
rm -rf "$1"/boot/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/etc/apt/apt.conf.d/99mmdebstrap
mkdir "{directory}/root"
mount --bind "$1" "{directory}/root"
trap 'umount "{directory}/root"; rmdir "{directory}/root"' EXIT
mke2fs -q -t ext4 -m 0 -O ^has_journal -d "{directory}/root" "{directory}/disk" {disk} >/dev/null
"""


@dataclass(frozen=True)
class DebianGuest:
    """Files to boot from, and what to log in with.

    Attributes:
        kernel, initrd, disk: Paths.
        arch: As QEMU names it; this computer's own.
        password: Of root.
    """

    kernel: Path
    initrd: Path
    disk: Path
    arch: str
    password: str

    append = "root=/dev/vda rw mitigations=off nokaslr norandmaps cryptomgr.notests no_timer_check"

    @property
    def keys(self) -> str:
        """Keys of its node in a topology."""
        return (
            f"arch={self.arch} memory=256MiB kernel={self.kernel} initrd={self.initrd} drive={self.disk} "
            f"append='{self.append}' console=serial user=root password='{self.password}'"
        )


def missing_programs() -> list[str]:
    """What is not installed of what making it needs."""
    return [program for program in PROGRAMS if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]


def debian_guest(progress: Progress) -> DebianGuest:
    """Return it, made now if it is not there yet; that takes a minute or two.

    Raises:
        KeyError: this computer's architecture has no such Debian kernel.
        subprocess.CalledProcessError: it could not be made.
    """
    arch, password = platform.machine(), "two words"
    recipe = "\n".join((_PACKAGES, _KERNELS[arch], _BEFORE, _AFTER, _DISK, password))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    made = cache_directory() / "tests" / f"debian-{arch}-{key}"
    with locked(made.with_suffix(".lock"), "making a Debian guest", progress):
        if not made.is_dir():
            with progress.step("making a Debian guest"):
                _make(made, arch, password)
    return DebianGuest(made / "vmlinuz", made / "initrd", made / "disk", arch, password)


def _make(made: Path, arch: str, password: str) -> None:
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".debian-") as folder:
        directory = Path(folder) / "made"
        directory.mkdir()
        sources = Path(folder) / "debian.sources"
        sources.write_text(distribution_sources())
        after = _AFTER.format(password=password, terminal=_TERMINALS[arch], directory=directory, disk=_DISK)
        argv = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--format=null",
            f"--include={_PACKAGES},{_KERNELS[arch]}",
        ]
        argv += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")]
        argv += [f"--aptopt={line}" for line in _apt_options()]
        argv += [f"--essential-hook={_script(folder, 'before', _BEFORE)}"]
        argv += [f"--customize-hook={_script(folder, 'after', after)}"]
        argv += [platform.freedesktop_os_release()["VERSION_CODENAME"], "/dev/null", str(sources)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        directory.rename(made)


def _script(folder: str, name: str, text: str) -> Path:
    path = Path(folder) / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def _apt_options() -> list[str]:
    """How this computer reaches its sources."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return re.findall(r'^(Acquire::https?::[^" ]+ "[^"]+";)$', dump, re.MULTILINE)
