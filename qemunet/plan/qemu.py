"""QEMU command lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qemunet.plan.model import CHANNELS, CONSOLES, InterfacePlan
from qemunet.topology import keys

# For every kernel: the names of interfaces, and a panic that ends the machine at once, by -no-reboot.
_KERNEL_ARGUMENTS = "net.ifnames=0 panic=-1"
# For those of our images, what makes an emulated machine faster: no self-tests of ciphers, no security modules, no
# defences of a guest against itself (without randomized addresses an exec takes a third of the time under TCG). A
# kernel that the user names runs as its distribution means it to.
_IMAGE_KERNEL_ARGUMENTS = (
    "nokaslr norandmaps mitigations=off audit=0 lsm= cryptomgr.notests random.trust_cpu=on 8250.nr_uarts=1 "
    "no_timer_check"
)

# PCI slots. Fixed ones make the order in which a guest's kernel finds its devices sure; 0x01, 0x02 and 0x1f are the
# chipset's on some machines.
_SERIAL_SLOT = 0x03
_RANDOM_SLOT = 0x04
_DRIVE_SLOT = 0x05
_FIRST_NIC_SLOT = 0x08
_LAST_NIC_SLOT = 0x1E
_FUNCTIONS = 8
_NIC_SLOTS = _LAST_NIC_SLOT - _FIRST_NIC_SLOT + 1

MOST_INTERFACES = _NIC_SLOTS * _FUNCTIONS
"""Interfaces that a machine may have."""

DEFAULT_ARCH = "x86_64"
DEFAULT_MEMORY = "128MiB"
DEFAULT_IMAGE = "tiny"
DEFAULT_CONSOLE = "image"
DEFAULT_USER = "root"
_DEFAULT_NIC = "virtio-net-pci"


@dataclass(frozen=True)
class Machine:
    """What an architecture takes where the topology says nothing.

    Attributes:
        machine: QEMU's machine; None leaves it to QEMU.
        cpu: CPU model under tcg.
        kernel_console: What the kernel calls the first serial port.
    """

    machine: str | None
    cpu: str
    kernel_console: str


MACHINES: Mapping[str, Machine] = {
    # Five-level paging makes every miss of the emulated TLB dearer and serves nobody here.
    "x86_64": Machine("pc", "max,la57=off", "ttyS0"),
    "i386": Machine("pc", "max", "ttyS0"),
    "aarch64": Machine("virt", "cortex-a57", "ttyAMA0"),
    "arm": Machine("virt", "cortex-a15", "ttyAMA0"),
    "riscv64": Machine("virt", "rv64", "ttyS0"),
}
_OTHER_MACHINE = Machine(None, "max", "ttyS0")


@dataclass(frozen=True)
class BootFiles:
    """What a guest boots from.

    Attributes:
        image: Name of an image, or None.
        kernel, initrd, drive: Absolute paths of files named in the topology, or None.
    """

    image: str | None
    kernel: str | None
    initrd: str | None
    drive: str | None


def machine_of(arch: str) -> Machine:
    """Return the defaults of an architecture."""
    return MACHINES.get(arch, _OTHER_MACHINE)


def qemu_argv(
    node: str, attributes: Mapping[str, str], interfaces: Sequence[InterfacePlan], files: BootFiles
) -> tuple[str, ...]:
    """Return the command line of a machine, with the placeholders of ``GuestPlan.argv``."""
    arch = attributes.get("arch", DEFAULT_ARCH)
    machine = machine_of(arch)
    machine_name = attributes.get("machine", machine.machine)
    argv = [f"qemu-system-{arch}", "-name", node]
    argv += ["-machine", machine_name] if machine_name else []
    argv += ["-accel", "${accel}", "-cpu", attributes.get("cpu", "${cpu}")]
    argv += ["-m", f"{keys.memory_mib(attributes.get('memory', DEFAULT_MEMORY))}M"]
    argv += ["-smp", str(keys.cpus(attributes.get("cpus", "1")))]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-chardev", "socket,id=qmp,fd=${fd:qmp}", "-mon", "chardev=qmp,mode=control"]
    argv += _console_arguments(attributes.get("console", DEFAULT_CONSOLE))
    argv += ["-device", f"virtio-rng-pci,addr={_RANDOM_SLOT:#x}"]
    argv += _boot_arguments(attributes, files, machine)
    for number, interface in enumerate(interfaces):
        argv += _interface_arguments(number, len(interfaces), interface, attributes.get("nic", _DEFAULT_NIC))
    argv += keys.arguments(attributes.get("qemu_args", ""))
    return tuple(argv)


def _console_arguments(console: str) -> list[str]:
    """The serial port and, where the image has shells on them, virtio consoles."""
    if console == "serial":
        return ["-chardev", "socket,id=shell,fd=${fd:shell}", "-serial", "chardev:shell"]
    argv = ["-chardev", "socket,id=kernel,fd=${fd:kernel}", "-serial", "chardev:kernel"]
    # As many ports as there are: each has two descriptors that QEMU polls in every turn of its loop, for every frame.
    ports = len(CONSOLES) + len(CHANNELS)
    argv += ["-device", f"virtio-serial-pci,addr={_SERIAL_SLOT:#x},max_ports={ports}"]
    for name in CONSOLES:
        argv += ["-chardev", f"socket,id={name},fd=${{fd:{name}}}", "-device", f"virtconsole,chardev={name}"]
    # Behind the consoles, whose numbers come in order: a port's number is the one that its device is named by.
    for port, name in enumerate(CHANNELS.values(), start=len(CONSOLES)):
        argv += ["-chardev", f"socket,id={name},fd=${{fd:{name}}}"]
        argv += ["-device", f"virtserialport,chardev={name},nr={port},name=qemunet.{name}"]
    return argv


def _boot_arguments(attributes: Mapping[str, str], files: BootFiles, machine: Machine) -> list[str]:
    argv: list[str] = []
    kernel = files.kernel or ("${kernel}" if files.image else None)
    initrd = files.initrd or ("${initrd}" if files.image else None)
    if kernel:
        words = [f"console={machine.kernel_console}", _KERNEL_ARGUMENTS]
        words += [] if files.kernel else [_IMAGE_KERNEL_ARGUMENTS]
        # What the topology appends comes last, so that it wins.
        append = " ".join([*words, attributes.get("append", "")]).strip()
        argv += ["-kernel", kernel, "-append", append]
    if initrd:
        argv += ["-initrd", initrd]
    if files.drive:
        image_format = "qcow2" if files.drive.endswith(".qcow2") else "raw"
        # In QEMU's option lists a comma is doubled. snapshot=on: writes go to a temporary overlay.
        path = files.drive.replace(",", ",,")
        argv += ["-drive", f"file={path},if=none,id=drive0,format={image_format},snapshot=on"]
        argv += ["-device", f"virtio-blk-pci,drive=drive0,addr={_DRIVE_SLOT:#x}"]
    return argv


def _interface_arguments(number: int, count: int, interface: InterfacePlan, nic: str) -> list[str]:
    if interface.attach == "native":
        # Of a stream socket it reads all that has come at once, of datagrams (dgram as well) one a turn of its loop.
        # "stream" is the same with more layers, and tells on QMP that it is connected.
        backend = f"socket,id=net{number},fd=${{fd:net{number}}}"
    else:
        backend = f"tap,id=net{number},fd=${{fd:net{number}}}"
    if count <= _NIC_SLOTS:
        address = f"{_FIRST_NIC_SLOT + number:#x}"
    else:
        address = f"{_FIRST_NIC_SLOT + number // _FUNCTIONS:#x}.{number % _FUNCTIONS:#x},multifunction=on"
    device = f"{nic},netdev=net{number},mac={interface.mac},romfile=,addr={address}"
    return ["-netdev", backend, "-device", device]
