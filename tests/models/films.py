"""Real DICOM films through the recipe, with and without the header's word."""

from __future__ import annotations

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
