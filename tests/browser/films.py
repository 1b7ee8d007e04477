"""Films for the browser: a chest phantom with a nodule, in several encodings, and what a package says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1
from sqlalchemy import insert, select, update

from preprocessing.placement import Placement
from service import tables
from service.results import records
from service.results.findings import judge_findings
from service.worklist.records import update_item
from service.workspace import Workspace
from tests.factories import Parts, make_radiograph
from tests.service.house import House
from tests.service.results.makers import add_revision, make_output, make_package

SIZE = 512
CELLS = 7
CELL = SIZE / CELLS
NODULE = (int(2.5 * CELL), int(2.5 * CELL))
"""Column and row: the middle of a cell of the heat map."""
LUNG = (int(0.31 * SIZE), int(0.60 * SIZE))
AIR = (6, 256)
BITS = 12
TOP = 2**BITS - 1


def chest() -> NDArray[np.uint16]:
    """Return stored values, bright = dense: air, body, two lungs, spine, and a nodule in the lung on the left."""
    row, column = np.mgrid[0:SIZE, 0:SIZE]
    u, v = column / SIZE, row / SIZE

    def blob(x: float, y: float, width: float, height: float, power: int = 4) -> NDArray[np.float64]:
        inside: NDArray[np.float64] = np.exp(-(np.abs((u - x) / width) ** power) - np.abs((v - y) / height) ** power)
        return inside

    film = 0.02 + 0.55 * blob(0.5, 0.55, 0.42, 0.5, 8)
    film -= 0.38 * (blob(0.31, 0.48, 0.13, 0.3) + blob(0.69, 0.48, 0.13, 0.3))
    film += 0.2 * np.exp(-(((u - 0.5) / 0.05) ** 4)) * blob(0.5, 0.55, 0.42, 0.5, 8)
    film += 0.45 * blob(NODULE[0] / SIZE, NODULE[1] / SIZE, 0.035, 0.035, 2)
    stored: NDArray[np.uint16] = np.round(np.clip(film, 0, 1) * TOP).astype(np.uint16)
    return stored


def film(**attributes: Any) -> Dataset:
    """Return the phantom as a CR film."""
    return make_radiograph(chest(), bits_stored=BITS, **attributes)


def inverse_film(**attributes: Any) -> Dataset:
    """Return the same film, stored the other way round: MONOCHROME1."""
    return make_radiograph(TOP - chest(), bits_stored=BITS, photometric_interpretation="MONOCHROME1", **attributes)


def jpeg_2000(dataset: Dataset) -> Dataset:
    """Compress a film without loss as JPEG 2000."""
    pixels = dataset.pixel_array
    return _compressed(dataset, imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k"), JPEG2000Lossless)


def jpeg_lossless(dataset: Dataset) -> Dataset:
    """Compress a film as JPEG lossless, process 14, selection value 1."""
    pixels = dataset.pixel_array
    return _compressed(dataset, imagecodecs.ljpeg_encode(pixels, bitspersample=BITS), JPEGLosslessSV1)


def _compressed(dataset: Dataset, stream: bytes | bytearray, syntax: str) -> Dataset:
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def settle(house: House, public_id: str, state: str = "unscored", reason: str | None = "package_missing") -> None:
    """Let a study be ready for a reader."""
    now = house.clock()
    with house.database.transaction() as tx:
        where = tables.study.c.public_id == public_id
        values = {"state": state, "settled_at": now, "reason": reason if state == "unscored" else None}
        tx.execute(update(tables.study).where(where).values(**values))
        study_id = int(tx.execute(select(tables.study.c.id).where(where)).scalar_one())
        update_item(tx, study_id=study_id, now=now, settings=house.settings)


@dataclass(frozen=True)
class Said:
    """What a package says of a film: its first finding is there, its second is not."""

    findings: tuple[str, str] = ("nodule", "effusion")
    logits: tuple[float, float] = (2.0, -2.0)
    shape: tuple[int, int] = (SIZE, SIZE)
    """Rows and columns of the film."""
    spots: Mapping[tuple[int, int], float] = field(default_factory=lambda: {(2, 2): 2.0})
    """Row and column of a cell of the heat map, counted over the longer edge of the film → its activation."""


def score(house: House, public_id: str, said: Said | None = None) -> None:
    """Write of every image what a package would leave behind; without a word on it, of the phantom's nodule."""
    said = said or Said()
    settle(house, public_id, state="scored")
    with house.database.reading() as rx:
        images = rx.execute(
            select(tables.instance.c.id, tables.instance.c.study_id)
            .join(tables.study, tables.study.c.id == tables.instance.c.study_id)
            .where(tables.study.c.public_id == public_id)
        ).all()
    state = house.app.state
    parts = Parts(house.settings, house.database, state.archive, state.intake, house.site_id, house.clock)
    revision_id = add_revision(parts, images[0].study_id)
    for image in images:
        _run(parts, {"study_id": image.study_id, "instance_id": image.id, "revision_id": revision_id}, said)
    with house.database.transaction() as tx:
        tx.execute(update(tables.revision).where(tables.revision.c.id == revision_id).values(state="scored"))


def _run(parts: Parts, ids: dict[str, int], said: Said) -> None:
    outputs = [make_output(channel, finding) for channel, finding in enumerate(said.findings)]
    package = make_package(outputs=outputs, input_shape=(1, 224, 224))
    maps = np.full((2, CELLS, CELLS), -0.2, np.float32)
    for (row, column), activation in said.spots.items():
        maps[0, row, column] = activation
    rows, columns = said.shape
    placement = Placement(left=0.0, top=0.0, scale=max(said.shape) / 224, rows=rows, columns=columns)
    judged = judge_findings(
        package, np.array(said.logits, np.float32), age_years=56.0, unknown_age_as_adult=False, shown=said.findings,
        heat_map=maps, placement=placement,
    )  # fmt: skip
    workspace = Workspace(parts.settings.work_folder)
    run = {
        **ids, "site_id": parts.site_id, "package": package.name, "package_version": package.version,
        "package_sha256": package.sha256, "recipe": package.recipe, "outcome": "done", "notes": [],
        "provider": "CPUExecutionProvider", "shown": list(said.findings), "started_at": parts.clock(),
        "finished_at": parts.clock(), "tensor_sha256": workspace.put_tensor(np.zeros((1, 224, 224), np.float32)),
        "heat_map_sha256": workspace.put_heat_map(maps, placement),
    }  # fmt: skip
    with parts.database.transaction() as tx:
        [run_id] = tx.execute(insert(tables.run).values(**run)).inserted_primary_key or [0]
        records.save_findings(tx, run_id=run_id, findings=judged)
