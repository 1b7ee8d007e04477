"""The process behind `pandok models import`: one request, JSON, as its only argument.

It is a process of its own: the service does without torch, and files of strangers are read where nothing else is.
"""

from __future__ import annotations

import logging
import sys

from pydantic import TypeAdapter

EXIT_REFUSED = 1


def main() -> int:
    """Import one model; returns the exit status: 0 done, 1 refused."""
    try:
        from training.importing import ImportRefused
        from training.importing.build import ImportRequest, import_package
        from training.importing.monai_bundle import AnswersNeeded
    except ModuleNotFoundError as missing:
        print(
            f"importing needs {missing.name}, which the service does without: pip install 'pandok[cpu,training]' in an "
            "environment of its own, run this command there, and give the service the folder that it makes",
            file=sys.stderr,
        )
        return EXIT_REFUSED
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of libraries that nobody needs here
    request = TypeAdapter(ImportRequest).validate_json(sys.argv[1])
    try:
        package = import_package(request)
    except ImportRefused as refusal:
        print(refusal, file=sys.stderr)
        if isinstance(refusal, AnswersNeeded):
            print(refusal.draft)
        return EXIT_REFUSED
    except OSError as error:
        print(f"{error.filename or request.into}: {error.strerror}", file=sys.stderr)
        return EXIT_REFUSED
    shown = [output for output in package.outputs if not output.experimental]
    print(f"{package.name} {package.version} {package.sha256[:16]} in {package.folder}")
    print(f"  findings: {len(package.outputs)}, of them experimental: {len(package.outputs) - len(shown)}")
    print(f"  what is known of it: {package.folder / 'docs/README.md'}")
    print(f"  to use it: PANDOK_MODELS_FOLDER={request.into.absolute()} pandok releases add SITE {package.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
