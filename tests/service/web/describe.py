"""`python -m tests.service.web.describe`: writes src/service.d.ts from what the service says of its own routes."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from service.app import create_app
from service.settings import Settings
from service.web.build import WEB_FOLDER, find_node

TYPES = WEB_FOLDER / "src" / "service.d.ts"


def openapi_text() -> str:
    """Return the application's OpenAPI document, the same text for the same routes."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_folder=Path(folder)))
        text = json.dumps(app.openapi(), ensure_ascii=False, sort_keys=True, indent=1)
        app.state.database.close()
    return text


def write_types(target: Path = TYPES) -> None:
    """Write the TypeScript types of every route's question and answer."""
    node, _ = find_node()
    program = WEB_FOLDER / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "openapi.json"
        document.write_text(openapi_text(), encoding="utf-8")
        subprocess.run([str(node), str(program), str(document), "--output", str(target)], cwd=WEB_FOLDER, check=True)


if __name__ == "__main__":
    write_types()
