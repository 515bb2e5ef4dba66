"""What doctor finds here, and what it says about what is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from qemunet.errors import MissingRequirement
from qemunet.host import doctor, linux, probe
from qemunet.host.doctor import Requirement, check_requirements, require
from qemunet.host.facts import host_facts
from qemunet.plan.model import GuestPlan, HostPlan, Plan, SimulationPlan, TapPlan


def plan_of(arch: str, *, memory_mib: int = 128, host: HostPlan | None = None) -> Plan:
    guest = GuestPlan("a", "qemu", "tiny", arch, "auto", memory_mib, False, (), ())
    return Plan("p", (guest,), SimulationPlan("qemunet", 1, ("a",), ()), host or HostPlan())


def named(requirements: list[Requirement], name: str) -> Requirement:
    (found,) = [each for each in requirements if each.name == name]
    return found


def test_namespaces_are_tried() -> None:
    found = named(check_requirements(), "namespaces")
    assert found.present
    assert found.importance == "required"
    assert found.detail.endswith("(tried)")


def test_a_missing_qemu_has_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    requirements = check_requirements(plan_of("aarch64"))
    found = named(requirements, "qemu-system-aarch64")
    assert (found.present, found.importance, found.detail) == (False, "required", "not installed")
    assert found.remedy is not None
    assert found.remedy.endswith("apt-get install -y qemu-system-arm")
    with pytest.raises(MissingRequirement, match="qemu-system-aarch64: not installed"):
        require(requirements)
    assert not [each for each in requirements if each.name == "qemu-system-x86_64"]


def test_a_qemu_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "qemu-system-x86_64"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = named(check_requirements(plan_of("x86_64")), "qemu-system-x86_64")
    assert (found.present, found.detail) == (False, "does not start")


def test_tun_is_required_only_by_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "TUN_DEVICE", "/no/such/tun")
    monkeypatch.setattr(probe, "TUN_DEVICE", "/no/such/tun")
    without = named(check_requirements(plan_of("x86_64")), "/dev/net/tun")
    assert (without.present, without.importance) == (False, "optional")
    taps = HostPlan(("b",), (TapPlan("t", "b", "guest"),))
    with_taps = named(check_requirements(plan_of("x86_64", host=taps)), "/dev/net/tun")
    assert (with_taps.present, with_taps.importance) == (False, "required")
    assert with_taps.remedy is not None
    assert "modprobe tun" in with_taps.remedy


def test_memory_is_held_against_the_plan() -> None:
    assert named(check_requirements(plan_of("x86_64")), "memory").present
    found = named(check_requirements(plan_of("x86_64", memory_mib=1 << 30)), "memory")
    assert (found.present, found.importance) == (False, "required")
    assert "1073741824 MiB" in found.needed_for


def test_disk_space_of_a_cache_that_does_not_exist_yet(tmp_path: Path) -> None:
    found = named(check_requirements(cache=tmp_path / "a" / "b"), "disk space")
    assert "MiB free" in found.detail


def test_everything_missing_has_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for each in check_requirements():
        assert each.present or each.remedy or each.importance == "information", each


def test_a_mode_of_failure_of_the_probe_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "init_argv", lambda label: ["/bin/sh", "-c", "echo broken interpreter >&2; exit 1"])
    failure = probe.probe_init()
    assert not isinstance(failure, tuple)
    assert failure["error"] == "broken interpreter"
    assert not doctor.check_requirements()[0].remedy


def test_host_facts_are_plain_data() -> None:
    facts = host_facts(["x86_64"])
    assert facts["kernel"]
    assert facts["cores"] >= facts["cores_usable"] >= 1
    assert facts["memory_bytes"] > facts["memory_available_bytes"] > 0
    assert set(facts["qemu"]) <= {"x86_64"}
    assert facts["versions"]["trio"]
