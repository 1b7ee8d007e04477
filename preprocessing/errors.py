"""Why an image cannot be preprocessed or scored: a closed list, shown to operators and radiologists."""

from enum import StrEnum


class Reason(StrEnum):
    """Closed list of reasons for which an image or a study stays unscored."""

    WRONG_MODALITY = "wrong_modality"
    NOT_A_CHEST = "not_a_chest"
    LATERAL_VIEW = "lateral_view"
    VIEW_UNKNOWN = "view_unknown"
    UPSIDE_DOWN = "upside_down"
    ROTATED = "rotated"
    INVERTED = "inverted"
    OUT_OF_SCOPE = "out_of_scope"
    CONTRADICTORY_HEADER = "contradictory_header"
    AGE_UNKNOWN = "age_unknown"
    AGE_OUT_OF_RANGE = "age_out_of_range"
    FOR_PROCESSING = "for_processing"
    NO_PIXEL_DATA = "no_pixel_data"
    MULTI_FRAME = "multi_frame"
    COLOUR_IMAGE = "colour_image"
    TOO_SMALL = "too_small"
    PIXEL_DATA_DAMAGED = "pixel_data_damaged"
    TRANSFER_SYNTAX_UNSUPPORTED = "transfer_syntax_unsupported"
    DECODER_DIED = "decoder_died"
    LIMIT_EXCEEDED = "limit_exceeded"
    NO_RELEASE = "no_release"
    RULED_OUT = "ruled_out"
    NO_VOLUME_PACKAGE = "no_volume_package"
    GEOMETRY_REFUSED = "geometry_refused"
    MODEL_FAILED = "model_failed"
    STORED_FILE_DAMAGED = "stored_file_damaged"
    PIPELINE_FAILED = "pipeline_failed"
    CANCELED = "canceled"


class UnsupportedImage(Exception):
    """An image that a recipe refuses, with a reason from the closed list.

    Args:
        reason: One of the closed list.
        detail: One plain sentence without any patient attribute.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
