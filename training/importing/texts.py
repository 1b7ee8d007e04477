"""What people read of an imported package: its metadata and its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from models.package import VERSION, Output
from training.bundle import PackageText
from training.importing.answers import Answers
from training.importing.card import import_card

if TYPE_CHECKING:
    from training.importing.monai_bundle import OpenedBundle
    from training.importing.torchxrayvision import Imported

INTENDED_USE = "Research on films that a radiologist reads in any case; not a medical device, and not tested here."
NO_TERMS = """\
The terms of these weights were not told when they were imported. Whoever imported them must know under which terms they
may be used and passed on.
"""
PAPER = "Cohen JP et al. TorchXRayVision: A library of chest X-ray datasets and models, arXiv:2111.00595"
SCALED = """\
The graph scales the recipe's tensor from 0..1 to the library's -1024..1024. A finding's score is the mean of a map over
the film, so the heat map shows exactly what the score is made of.
"""


def torchxrayvision_text(opened: Imported, outputs: tuple[Output, ...], answers: Answers) -> PackageText:
    """Return what people read of weights of TorchXRayVision."""
    version = answers.version or "1.0.0"
    trained_on = f"By the name of the file they were trained on {opened.trained_on}." if opened.trained_on else ""
    card = import_card(
        "Chest radiograph findings of TorchXRayVision",
        outputs,
        version=version,
        origin=f"Weights of a DenseNet of TorchXRayVision (github.com/mlmed/torchxrayvision; {PAPER}). {trained_on}",
        notes=opened.notes,
        how_it_works=SCALED,
    )
    return PackageText(
        version=version,
        task="Findings on frontal chest radiographs",
        description=f"{len(outputs)} findings of TorchXRayVision with class activation maps, imported and not tested.",
        intended_use=answers.intended_use or INTENDED_USE,
        data_source=opened.trained_on or "not told",
        references=(PAPER,),
        changelog={version: "imported"},
        figures={},
        card=card,
        licence=answers.licence or NO_TERMS,
        extra_files={},
        authors="Joseph Paul Cohen and contributors",
        copyright="of those who made the weights",
    )


def bundle_text(opened: OpenedBundle, outputs: tuple[Output, ...], answers: Answers) -> PackageText:
    """Return what people read of a MONAI Bundle."""
    metadata = opened.metadata
    told = said(metadata, "version", "")
    version = answers.version or (told if VERSION.fullmatch(told) else "1.0.0")
    card = import_card(
        said(metadata, "name", "Imported model"),
        outputs,
        version=version,
        origin=f"A MONAI Bundle by {said(metadata, 'authors', 'authors that it does not name')}. "
        + said(metadata, "description", ""),
        notes=opened.notes,
        how_it_works="The bundle's own ONNX graph, with what is needed to take the recipe's tensor and to give logits.",
        readme=opened.readme,
    )
    return PackageText(
        version=version,
        task=said(metadata, "task", "Findings on frontal chest radiographs"),
        description=said(metadata, "description", "An imported MONAI Bundle, not tested."),
        intended_use=answers.intended_use or INTENDED_USE,
        data_source=said(metadata, "data_source", "not told"),
        references=(),
        changelog={version: "imported"},
        figures={},
        card=card,
        licence=answers.licence or opened.licence or NO_TERMS,
        extra_files={},
        authors=said(metadata, "authors", "not told"),
        copyright=said(metadata, "copyright", "of those who made the weights"),
    )


def said(metadata: Mapping[str, object], name: str, otherwise: str) -> str:
    """Return a text of a bundle's metadata, or the other where there is none."""
    value = metadata.get(name)
    return value if isinstance(value, str) and value else otherwise
