"""Runs networks of the Topology Zoo as containers with static routes.

Every pair of each must be reachable, and the round trips of ten pairs must be the sums of the delays on the shortest paths,
within 1 ms and 2 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NETWORKS = [
    "Aarnet",
    "Abilene",
    "Agis",
    "Arpanet19728",
    "Belnet2010",
    "Bics",
    "BtEurope",
    "BtNorthAmerica",
    "Cernet",
    "Cesnet200706",
    "Claranet",
    "Compuserve",
    "Darkstrand",
    "EliBackbone",
    "Iij",
    "Geant2012",
    "Getnet",
    "Heanet",
    "Internode",
    "Janetbackbone",
    "Noel",
]
"""Of up to 40 nodes."""
TRIES = 3
"""Runs of a network of which one must be faithful: a machine busy with other things may spoil one."""


def run(network: str, runs: Path) -> dict[str, Any]:
    """Run one network; return its record."""
    command = [sys.executable, "-m", "qemunet.cli.main", "run", f"topohub:topozoo/{network}"]
    command += [str(ROOT / "experiments" / "round_trips.py"), "--json", "--runs-dir", str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def main() -> int:
    """Run them one after the other and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", metavar="NETWORK", nargs="*", default=NETWORKS, help="of the Topology Zoo")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as runs:
        for network in arguments.networks:
            for _ in range(TRIES):
                record = run(network, Path(runs))
                if record["status"] != "unfaithful":
                    break
            failed += record["status"] != "passed"
            metrics = record.get("metrics") or {}
            worst = f"{metrics.get('worst_share_of_allowed', float('nan')):.2f}"
            error = (record["error"] or {}).get("message", "")
            print(
                f"{network:<16} {record['status']:<10} {metrics.get('pairs_reached', 0):>5} pairs reached, "
                f"worst round trip off by {worst} of what is allowed {error}".rstrip(),
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
