"""What TorchXRayVision says of the weight files that it publishes: which outputs were trained, and where it cuts them.

From `torchxrayvision/models.py`, version 1.5.7 (Apache-2.0, Joseph Paul Cohen and contributors). The files themselves
tell neither. A threshold is that of a sigmoid. By the library's script (`scripts/model_calibrate.py`) it is where
sensitivity + specificity is largest on a fifth of the same data, drawn without regard to what was trained on. An output
without a threshold was not trained, and has no name there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LABELS = (
    "Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis", "Effusion",
    "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia", "Lung Lesion", "Fracture",
    "Lung Opacity", "Enlarged Cardiomediastinum",
)  # fmt: skip
"""The library's findings in the order of a network's outputs."""

FILE_NAME = "{sets}-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"


@dataclass(frozen=True, slots=True)
class Published:
    """A published file: the data that it was trained on, and a threshold for each trained output."""

    trained_on: str
    thresholds: tuple[float | None, ...]


_X = None

PUBLISHED: Mapping[str, Published] = {
    FILE_NAME.format(sets=sets): Published(trained_on, thresholds)
    for sets, trained_on, thresholds in (
        (
            "nih-pc-chex-mimic_ch-google-openi-kaggle",
            "NIH ChestX-ray14, PadChest, CheXpert, MIMIC-CXR, NIH labels by Google, Open-i, RSNA Pneumonia Challenge",
            (
                0.07422872, 0.038290843, 0.09814756, 0.0098118475, 0.023601074, 0.0022490358, 0.010060724, 0.103246614,
                0.056810737, 0.026791653, 0.050318155, 0.023985857, 0.01939503, 0.042889766, 0.053369623, 0.035975814,
                0.20204692, 0.05015312,
            ),
        ),
        (
            "nih",
            "NIH ChestX-ray14",
            (
                0.039117552, 0.0034529066, 0.11396341, 0.0057298196, 0.00045666535, 0.0018880932, 0.012037827,
                0.038744126, 0.0037213727, 0.014730946, 0.016149804, 0.054241467, 0.037198864, 0.0004403434,
                _X, _X, _X, _X,
            ),
        ),
        (
            "pc",
            "PadChest",
            (
                0.031012505, 0.013347598, 0.081435576, 0.001262615, 0.002587246, 0.0035944257, 0.0023071, 0.055412333,
                0.044385884, 0.042766232, 0.043258056, 0.037629247, 0.005658899, 0.0091741895, _X, 0.026507627, _X, _X,
            ),
        ),
        (
            "chex",
            "CheXpert",
            (
                0.1988969, 0.05710573, _X, 0.0531293, 0.1435217, _X, _X, 0.27212676, 0.07749717, _X, 0.19712369,
                _X, _X, _X, 0.09932402, 0.09273402, 0.3270967, 0.10888247,
            ),
        ),
        (
            "kaggle",
            "RSNA Pneumonia Challenge",
            (_X, _X, _X, _X, _X, _X, _X, _X, 0.13486601, _X, _X, _X, _X, _X, _X, _X, 0.13511065, _X),
        ),
        (
            "mimic_nb",
            "MIMIC-CXR, labels by NegBio",
            (
                0.08558747, 0.011884617, _X, 0.0040595434, 0.010733786, _X, _X, 0.118761964, 0.022924708, _X,
                0.06358637, _X, _X, _X, 0.022143636, 0.017476924, 0.1258702, 0.014020768,
            ),
        ),
        (
            "mimic_ch",
            "MIMIC-CXR, labels by CheXpert",
            (
                0.09121389, 0.010573786, _X, 0.005023008, 0.003698257, _X, _X, 0.08001232, 0.037242252, _X,
                0.05006329, _X, _X, _X, 0.019866971, 0.03823637, 0.11303808, 0.0069147074,
            ),
        ),
    )
}  # fmt: skip
