"""`python3 -m service`: set up the service in its own environment and start it with the demo's real studies."""

import sys

from service.environment import ROOT, become, prepare

if __name__ == "__main__":
    become(prepare(ROOT / ".venv-serve", ("cpu", "demo")), "-m", "service.cli", "demo", *sys.argv[1:])
