"""Header rules of the chest radiograph recipe: what is refused before a pixel is read."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import InstanceHeader
from preprocessing.view import View, read_view

_COMPUTED_RADIOGRAPHY: Final = "1.2.840.10008.5.1.4.1.1.1"
_DIGITAL_X_RAY: Final = "1.2.840.10008.5.1.4.1.1.1.1"
_DIGITAL_X_RAY_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_RADIOGRAPHY_CLASSES: Final = frozenset({_COMPUTED_RADIOGRAPHY, _DIGITAL_X_RAY, _DIGITAL_X_RAY_FOR_PROCESSING})

_MODALITIES: Final = frozenset({"CR", "DX"})
_PROJECTION_MODALITIES: Final = _MODALITIES | {"RG", "RF", "XA", "MG", "IO", "PX", "OT", "SC"}
"""Modalities of which a PA, AP or lateral view is nothing strange."""

_CHEST_CODES: Final = frozenset(
    # Thorax, thoracic structure, entire thorax, chest wall, thoracic cavity, lung, rib; SNOMED CT and SNOMED-RT.
    {"816094009", "51185008", "302551006", "78904004", "43799004", "39607008", "113197003"}
    | {"T-D3000", "T-28000", "T-11300"}
)
_CHEST_WORDS: Final = re.compile(
    r"CHEST|THORAX|TORAX|(?<![A-Z])CXR|(?<![A-Z])LUNGS?(?![A-Z])|PULMO|(?<![A-Z])RIBS?(?![A-Z])|RIB ?CAGE"
    r"|NGUC|PHOI(?![A-Z])|ОГК|ГРУДН|ЛЕГК|흉부|흉곽|가슴|폐"
)
_NOT_CHEST_WORDS: Final = re.compile(r"SPINE|COT SONG|ПОЗВОН|척추|흉추")
_SAYS_NOTHING: Final = frozenset({"", "UNKNOWN", "OTHER", "NONE", "NA", "N A", "XX", "DEFAULT", "UNDEFINED", "GENERAL"})


def check_header(header: InstanceHeader) -> None:
    """Refuse what the header alone shows to be out of scope.

    An empty body part or an unknown view passes: the image check that follows decides.

    Raises:
        UnsupportedImage: With the reason.
    """
    _check_modality(header)
    _check_body_part(header)
    view = read_view(header).view
    if view is View.LATERAL:
        raise UnsupportedImage(Reason.LATERAL_VIEW, "a lateral view; only frontal views are scored")
    if view is View.OTHER:
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "an oblique or decubitus view; only frontal views are scored")
    intent = (header.presentation_intent_type or "").upper()
    if intent == "FOR PROCESSING" or header.sop_class_uid == _DIGITAL_X_RAY_FOR_PROCESSING:
        raise UnsupportedImage(Reason.FOR_PROCESSING, "raw detector data; the image for presentation is needed")
    if not header.has_pixel_data:
        raise UnsupportedImage(Reason.NO_PIXEL_DATA, "the file holds no pixel data")
    if (header.number_of_frames or 1) > 1:
        raise UnsupportedImage(Reason.MULTI_FRAME, "more than one frame in the image")


def _check_modality(header: InstanceHeader) -> None:
    modality = (header.modality or "").upper()
    is_radiography_class = header.sop_class_uid in _RADIOGRAPHY_CLASSES
    if modality in _MODALITIES:
        if not is_radiography_class and header.sop_class_uid != _SECONDARY_CAPTURE:
            raise UnsupportedImage(
                Reason.CONTRADICTORY_HEADER, "the modality is radiography, the kind of object another"
            )
    elif is_radiography_class:
        if modality:
            raise UnsupportedImage(
                Reason.CONTRADICTORY_HEADER, "the kind of object is radiography, the modality another"
            )
    elif modality not in _PROJECTION_MODALITIES and read_view(header).source in ("view_position", "patient_position"):
        raise UnsupportedImage(Reason.CONTRADICTORY_HEADER, "a projection's view in an image of another modality")
    else:
        raise UnsupportedImage(Reason.WRONG_MODALITY, "not a computed or digital radiograph")


def _check_body_part(header: InstanceHeader) -> None:
    region = header.anatomic_region
    if region is not None:
        is_chest = region.value in _CHEST_CODES or is_chest_text(region.meaning)
    else:
        is_chest = is_chest_text(header.body_part_examined or "")
    if is_chest is False:
        raise UnsupportedImage(Reason.NOT_A_CHEST, "the header names another body part than the chest")


def is_chest_text(text: str) -> bool | None:
    """Tell whether a body part in any of our sites' languages is the chest; None when the text says nothing."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.upper()) if not unicodedata.combining(c))
    # NFKD takes Korean syllables apart; NFC puts them together again and leaves the bare letters alone.
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", bare)).strip()
    if words in _SAYS_NOTHING:
        return None
    return _CHEST_WORDS.search(words) is not None and _NOT_CHEST_WORDS.search(words) is None
