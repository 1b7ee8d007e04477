"""Real DICOM films through the recipe, with and without the header's word."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom

from models.calibration import ScopeJudgement, judge_scope, probability
from models.package import SHIPPED, ModelPackage, load_package
from models.session import Session
from preprocessing.header import InstanceHeader, read_header
from preprocessing.recipes import RECIPES

RECIPE = RECIPES["chest_radiograph/1"]


def header_of(path: Path) -> InstanceHeader:
    meta = pydicom.filereader.read_file_meta_info(path)
    offset = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        return read_header(
            file,
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            offset=offset,
            length=path.stat().st_size - offset,
        )


def tensor_of(path: Path) -> np.ndarray:
    return RECIPE.prepare(path, header_of(path)).tensor


def tensor_whatever_the_header_says(path: Path) -> np.ndarray:
    """The pixels of any radiograph as the gate would see them if every header check had failed."""
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array
    frame = stored[len(stored) // 2] if stored.ndim == 3 else stored
    values = np.asarray(pydicom.pixels.apply_modality_lut(frame, dataset), dtype=np.float32)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = -values
    low, high = np.percentile(values, [0.1, 99.9])
    grey = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return RECIPE.prepare_array(grey.astype(np.uint8)).tensor


class ShippedModels:
    """The two packages that come with the service, loaded once."""

    def __init__(self) -> None:
        self.findings: ModelPackage = load_package(SHIPPED / "chest_radiograph")
        self.gate: ModelPackage = load_package(SHIPPED / "chest_scope")
        self._findings_session, self._gate_session = Session(self.findings), Session(self.gate)

    def scope(self, tensor: np.ndarray) -> ScopeJudgement:
        return judge_scope(self.gate, self._gate_session.run(tensor[None]).logits[0])

    def probabilities(self, tensor: np.ndarray) -> dict[str, float]:
        logits = self._findings_session.run(tensor[None]).logits[0]
        return {o.finding: probability(float(logits[o.channel]), o.calibration) for o in self.findings.outputs}

    def present(self, tensor: np.ndarray) -> set[str]:
        probabilities = self.probabilities(tensor)
        return {o.finding for o in self.findings.outputs if probabilities[o.finding] >= o.operating_point.threshold}


def index(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "dicom/index.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
