"""Health of a service's container: exit 0 while it holds a connection to its broker."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

ESTABLISHED = "01"
DEFAULT_PORTS = {"kafka": 9092, "kafka+ssl": 9093, "mqtt": 1883, "mqtts": 8883}


def main() -> int:
    """Look for the broker's port among the far ends of this container's connections."""
    url = urlsplit(os.environ["CHOREO_BROKER"])
    port = url.port or DEFAULT_PORTS[url.scheme]
    return 0 if port in connected_ports() else 1


def connected_ports() -> set[int]:
    ports: set[int] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for row in table.read_text().splitlines()[1:]:
                _, _, remote, state, *_ = row.split()
                if state == ESTABLISHED:
                    ports.add(int(remote.rpartition(":")[2], 16))
    return ports


if __name__ == "__main__":
    sys.exit(main())
