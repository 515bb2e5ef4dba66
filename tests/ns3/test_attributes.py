"""ns-3 attributes: the table against the ns-3 that is installed, and set in a real worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from qemunet.errors import SimulationError
from qemunet.plan import make_plan
from qemunet.plan.model import LinkPlan, SimulationPlan
from qemunet.simulation.client import ExtendScript
from qemunet.topology import parse_topology
from tests.ns3.conftest import end, plan, simulate, wire

ROOT = Path(__file__).parents[2]


def simulation_of(text: str) -> SimulationPlan:
    return make_plan(parse_topology(text), seed=1, source_directory=None).simulation


def test_the_table_is_that_of_the_installed_ns3() -> None:
    script = ROOT / "scripts" / "ns3_attributes.py"
    done = subprocess.run([sys.executable, script, "--print"], check=True, capture_output=True, text=True)
    written = (ROOT / "qemunet" / "topology" / "ns3-attributes.json").read_text(encoding="utf-8")
    assert done.stdout == written, "make attributes writes the table again"


GET = """
def extend(ns, network):
    ns.cppyy.include("ns3/string.h")  # whose types are made by a macro
    ns.WifiNetDevice, ns.WifiPhy, ns.WifiMac, ns.WifiRemoteStationManager, ns.CsmaNetDevice
    def read(owner, name):
        value = ns.cppyy.gbl.ns3.StringValue()
        owner.GetAttribute(name, value)
        return str(value.Get())
    yield
    return {READ}
"""


def values_in_ns3(text: str, directory: Path, read: str) -> dict[str, str]:
    """What ``read``, an expression of a dict, gives inside the worker."""
    experiment = directory / "experiment.py"
    experiment.write_text(GET.replace("READ", read))

    async def main() -> dict[str, str]:
        extend = ExtendScript(experiment, {})
        async with simulate(simulation_of(text), directory, extend=extend) as (simulation, _):
            return dict((await simulation.stop()).metrics)

    return trio.run(main)


def test_attributes_of_links_and_defaults_are_in_ns3(tmp_path: Path) -> None:
    text = (
        "option ns3::WifiRemoteStationManager::DefaultTxPowerLevel=1 ns3::CsmaNetDevice::EncapsulationMode=Llc\n"
        "node a b container position=0,0 step=5,0\n"
        "link a b csma name=lan channel.DataRate=5Mbps device.Mtu=1400\n"
        "link a b wifi name=air phy.TxPowerStart=11 mac.FrameRetryLimit=3 manager.DefaultTxPowerLevel=2\n"
        "link a b wifi name=air2\n"
        "link a b wire name=wire device.Mtu=1300\n"
    )
    found = values_in_ns3(
        text,
        tmp_path,
        """
        'rate': read(network.channel('lan'), 'DataRate'),
        'mtus': [network.device(f'b:eth{number}').GetMtu() for number in range(4)],
        'encapsulation': int(network.device('a:eth0').GetObject['ns3::CsmaNetDevice']().GetEncapsulationMode()),
        'power': read(network.device('a:eth1').GetObject['ns3::WifiNetDevice']().GetPhy(), 'TxPowerStart'),
        'retries': read(network.device('b:eth1').GetObject['ns3::WifiNetDevice']().GetMac(), 'FrameRetryLimit'),
        'levels': [
            read(network.device(f'a:eth{number}').GetObject['ns3::WifiNetDevice']().GetRemoteStationManager(), 'DefaultTxPowerLevel')
            for number in (1, 2)
        ],
        """,
    )
    assert found == {
        "rate": "5000000bps",
        "mtus": [1400, 1500, 1500, 1300],
        "encapsulation": 2,  # LLC
        "power": "11",
        "retries": "3",
        "levels": ["2", "1"],
    }


def test_what_ns3_refuses_all_the_same_is_said(tmp_path: Path) -> None:
    """A plan that no check has seen."""
    link = LinkPlan(**{**vars(wire()), "ns3": {"device": {"Mtu": "67"}}})

    async def main() -> None:
        with pytest.raises(SimulationError, match="WireNetDevice does not take Mtu=67"):
            async with simulate(plan(link), tmp_path):
                pass

    trio.run(main)


def test_only_wifi_and_movement_load_the_libraries_for_them(tmp_path: Path) -> None:
    experiment = tmp_path / "experiment.py"
    experiment.write_text(
        "LOADED = open('/proc/self/maps').read()\ndef extend(ns, network):\n    return {'wifi': 'libqemunet-wifi' in LOADED}\n"
    )

    async def loaded(simulation_plan: SimulationPlan) -> object:
        async with simulate(simulation_plan, tmp_path, extend=ExtendScript(experiment, {})) as (simulation, _):
            return (await simulation.stop()).metrics["wifi"]

    assert not trio.run(loaded, plan(wire()))
    assert trio.run(loaded, simulation_of("node a b container position=0,0 step=1,1\nlink a b wifi"))
    assert trio.run(loaded, simulation_of("node a b container position=0,0 velocity=1,1\nlink a b"))


TIMES = """
import ctypes

def extend(ns, network):
    from qemunet.simulation.native import module_library
    core = ctypes.CDLL(str(module_library("core")))
    marking = ctypes.c_void_p.in_dll(core, "_ZN3ns34Time14g_markingTimesE")
    before = bool(marking.value)
    yield
    return {"before": before, "after": bool(marking.value)}
"""


def test_ns3_lists_no_times_while_it_runs(tmp_path: Path) -> None:
    """Until Simulator::Run() ns-3 keeps a list of every Time there is, which costs more than its models."""
    experiment = tmp_path / "experiment.py"
    experiment.write_text(TIMES)

    async def main() -> None:
        link = wire(ends=(end("a", 0), end("b", 1)))
        async with simulate(plan(link), tmp_path, extend=ExtendScript(experiment, {})) as (simulation, _):
            assert (await simulation.stop()).metrics == {"before": True, "after": False}

    trio.run(main)
