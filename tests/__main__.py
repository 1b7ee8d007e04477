"""`python3 -m tests`: set up everything that the tests need, then lint, type-check and test.

Options: `--quick` leaves out the slow tests; anything else goes to pytest. Two processes share the tests unless `-n`
says otherwise.
"""

import os
import shutil
import subprocess
import sys

from service.environment import ROOT, become, prepare

PEERS = {
    "/usr/bin/storescu": "dcmtk",
    "/usr/sbin/Orthanc": "orthanc",
    "/usr/share/orthanc/plugins/libOrthancDicomWeb.so": "orthanc-dicomweb",
    "/usr/bin/chromium": "chromium",
    "/usr/bin/strace": "strace",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc": "fonts-noto-cjk",
}
EXTRAS = ("cpu", "demo", "training", "test")


def install_peers() -> None:
    """Install the programs that the service is tested against, where that is possible."""
    missing = [package for path, package in PEERS.items() if not os.path.exists(path)]  # noqa: PTH110
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Not root on Debian: tests against {', '.join(missing)} will be skipped.", flush=True)
        return
    print(f"Installing {', '.join(missing)} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout[-2_000:], done.stderr[-2_000:], flush=True)
            return


def check(*command: str) -> None:
    """Run one check of the sources; its failure ends the run."""
    print("$", *command, flush=True)
    if subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode:
        sys.exit(1)


def main() -> None:
    if sys.prefix == sys.base_prefix or "PANDOK_TESTS_INSIDE" not in os.environ:
        os.environ["PANDOK_TESTS_INSIDE"] = "1"
        become(prepare(ROOT / ".venv-test", EXTRAS), "-m", "tests", *sys.argv[1:])
    arguments = sys.argv[1:]
    if "--quick" in arguments:
        arguments = ["-m", "not slow", *(word for word in arguments if word != "--quick")]
    else:
        install_peers()
    if not any(word.startswith(("-n", "--numprocesses")) for word in arguments):
        arguments = ["--numprocesses", "2", *arguments]
    check("ruff", "check", "--quiet", ".")
    check("ruff", "format", "--quiet", "--check", ".")
    check("mypy")
    print("$ pytest", *arguments, flush=True)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    main()
