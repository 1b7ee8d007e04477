"""A child that tells what it was given, then waits until its pipe ends."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    told = {
        "arguments": sys.argv[1:],
        "environment": sorted(os.environ),
        "descriptors": sorted(str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }
    os.write(1, json.dumps(told).encode() + b"\n")
    os.read(0, 1)
