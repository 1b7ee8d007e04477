"""What the listener says it can take: abstract syntaxes and transfer syntaxes (STANDARDS 1A.1 and 1A.2)."""

from __future__ import annotations

from preprocessing.pixels import SUPPORTED_TRANSFER_SYNTAXES

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"

_STORAGE = "1.2.840.10008.5.1.4.1.1"

STORAGE_CLASSES: frozenset[str] = frozenset(
    f"{_STORAGE}.{suffix}"
    for suffix in (
        # Projection radiographs, and the secondary captures that old digitisers send instead
        "1",  # CR
        "1.1",  # DX, for presentation
        "1.1.1",  # DX, for processing
        "7",  # Secondary Capture
        # CT and MR
        "2",  # CT
        "2.1",  # Enhanced CT
        "2.2",  # Legacy Converted Enhanced CT
        "4",  # MR
        "4.1",  # Enhanced MR
        # Other modalities
        "1.2",  # Mammography, for presentation
        "1.2.1",  # Mammography, for processing
        "13.1.3",  # Breast Tomosynthesis
        "6.1",  # US
        "3.1",  # US multi-frame
        "12.1",  # XA
        "12.2",  # XRF
        "7.1",  # SC multi-frame single bit
        "7.2",  # SC multi-frame grayscale byte
        "7.3",  # SC multi-frame grayscale word
        "7.4",  # SC multi-frame true color
        # Evidence and results
        "88.11",  # Basic Text SR
        "88.22",  # Enhanced SR
        "88.33",  # Comprehensive SR
        "88.34",  # Comprehensive 3D SR
        "88.35",  # Extensible SR
        "88.65",  # Chest CAD SR
        "88.67",  # X-Ray Radiation Dose SR
        "88.59",  # Key Object Selection
        "11.1",  # Grayscale Softcopy Presentation State
        "66.4",  # Segmentation
        "66.7",  # Label Map Segmentation
        "30",  # Parametric Map
        "104.1",  # Encapsulated PDF
        "104.2",  # Encapsulated CDA
    )
)

ABSTRACT_SYNTAXES: frozenset[str] = STORAGE_CLASSES | {VERIFICATION}

TRANSFER_SYNTAXES: frozenset[str] = frozenset(SUPPORTED_TRANSFER_SYNTAXES)
"""Those of STANDARDS 1A.2 with a pinned decoder: what is accepted here must be readable later."""
