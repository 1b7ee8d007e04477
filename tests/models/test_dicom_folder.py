"""Every file of the shared `dicom` folder through header rules and gate: what becomes of it, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydicom.errors import InvalidDicomError

from preprocessing.errors import UnsupportedImage
from preprocessing.windows import HeaderRefused
from tests.models.films import RECIPE, ShippedModels, header_of

pytestmark = [pytest.mark.films, pytest.mark.filterwarnings("ignore")]  # many of these files break rules on purpose

Files = Mapping[str, str]
"""Folder → names of its files."""

SCORED: Files = {
    "chest": """
        966_fixed.dcm RG1_J2KI.dcm RG1_JLSN.dcm RG1_UNCR.dcm gdcm-CR-MONO1-10-chest.dcm
        nih_udacity_test1.dcm nih_udacity_test2.dcm nih_udacity_test4.dcm nih_udacity_test6.dcm
    """,
    "chest_derived": """
        chest_deflated.dcm chest_explicit_be.dcm chest_implicit_le.dcm chest_j2k_lossless.dcm
        chest_jpeg_lossless_sv1.dcm chest_jpegls.dcm chest_jpegls_near3.dcm chest_monochrome2_twin.dcm
        chest_rle.dcm
    """,
}
"""Real frontal chests of humans, in every coding and under odd body parts and positions."""

REFUSED_BY_THE_GATE: Files = {
    "chest": """
        dx_image.dcm
    """,
    "radiography_other": """
        CR-ModalitySequenceLUT.dcm
    """,
}
"""An animal under a perfect chest header, and teeth without a body part: the pixels tell."""

CONTRADICTORY: Files = {
    "chest": """
        nih_udacity_test5.dcm
    """,
}
"""A chest film that calls itself CT."""

NO_PIXEL_DATA: Files = {
    "charset": """
        chrJapMulti.dcm chrKoreanMulti.dcm
    """,
}
"""Chest headers without a picture."""

ANOTHER_BODY_PART: Files = {
    "radiography_other": """
        RG2_JLSL.dcm RG2_JPLY_fixed.dcm RG3_J2KI.dcm RG3_JPLY.dcm
    """,
}
"""Hip and leg, as the header says."""

WRONG_MODALITY: Files = {
    "charset": """
        chrArab.dcm chrFren.dcm chrFrenMulti.dcm chrGB2312.dcm chrGerm.dcm chrGreek.dcm chrH31.dcm
        chrH32.dcm chrHbrw.dcm chrI2.dcm chrRuss.dcm chrSQEncoding.dcm chrSQEncoding1.dcm chrX1.dcm
        chrX2.dcm
    """,
    "ct": """
        CT-JPEGLosslessSV1.dcm CT0012.fragmented_no_bot_jpeg_baseline.51.dcm CT1_RLE.dcm CT2_J2KI.dcm
        CTImage_BigEndianExplicit__1.2.2.dcm CTImage_DeflatedExplicitVRLittleEndian__1.2.1.99.dcm
        CTImage_JPEG2000LosslessOnly__1.2.4.90.dcm CTImage_JPEG2000__1.2.4.91.dcm
        CTImage_JPEGLSLossless__1.2.4.80.dcm CTImage_JPEGLSLossy__1.2.4.81.dcm
        CTImage_JPEGProcess10_12__1.2.4.55.dcm CTImage_JPEGProcess14SV1__1.2.4.70.dcm
        CTImage_JPEGProcess14__1.2.4.57.dcm CTImage_JPEGProcess1__1.2.4.50.dcm
        CTImage_JPEGProcess2_4__1.2.4.51.dcm CTImage_JPEGProcess6_8__1.2.4.53.dcm
        CTImage_LittleEndianExplicit__1.2.1.dcm CTImage_LittleEndianImplicit__1.2.dcm
        CTImage_RLELossless__1.2.5.dcm D_CLUNIE_CT1_RLE_FRAGS.dcm ELSCINT1_JP2vsJ2K.dcm
        J2K_pixelrep_mismatch.dcm MAROTECH_CT_JP2Lossy.dcm TOSHIBA_J2K_OpenJPEGv2Regression.dcm
        TOSHIBA_J2K_SIZ0_PixRep1.dcm TOSHIBA_J2K_SIZ1_PixRep0.dcm ct3slice_01.dcm ct3slice_02.dcm
        ct3slice_03.dcm eCT_Supplemental.dcm jpeg_lossless_sel1.dcm lungmask_0.dcm lungmask_1.dcm
    """,
    "dicomdir_media": """
        DICOMDIR DICOMDIR-bigEnd DICOMDIR-empty.dcm DICOMDIR-implicit DICOMDIR-nooffset DICOMDIR-nopatient
        DICOMDIR-reordered TINY_ALPHA/DICOMDIR
    """,
    "malformed": """
        CTImageStorage_bad_meta.dcm GH1146.dcm GH1301.dcm
        GH177_D_CLUNIE_CT1_IVRLE_BigEndian_ELE_undefinded_length.dcm GH178.dcm GH220.dcm GH223.dcm GH227.dcm
        GH487.dcm Issue1097_FailToOpenDeflatedFileWithSQ.dcm JPEG2000-embedded-sequence-delimiter.dcm
        UN_sequence.dcm badVR.dcm bad_sequence.dcm empty_charset_LEI.dcm explicit_VR-UN.dcm multiframe.dcm
        nested_priv_SQ.dcm no-pixel-data.dcm priv_SQ.dcm
    """,
    "mr": """
        GH1261.dcm JPEG-LS_Lossy.dcm MR2_J2KI.dcm MR_small.dcm MR_small_RLE.dcm MR_small_bigendian.dcm
        MR_small_implicit.dcm MR_small_jp2klossless.dcm MR_small_jpeg_ls_lossless.dcm MR_small_padded.dcm
        emri_small.dcm emri_small_RLE.dcm examples_overlay.dcm mr_brucker.dcm
    """,
    "mr_series": """
        brain_001.dcm brain_002.dcm brain_003.dcm brain_004.dcm brain_005.dcm brain_006.dcm brain_007.dcm
        brain_008.dcm brain_009.dcm brain_010.dcm brain_011.dcm brain_012.dcm brain_013.dcm brain_014.dcm
        brain_015.dcm brain_016.dcm brain_017.dcm brain_018.dcm brain_019.dcm brain_020.dcm
    """,
    "other": """
        ExplVR_BigEnd.dcm GDCMJ2K_TextGBR.dcm GH184.dcm JPEG2000.dcm JPEGLSNearLossless_16.dcm
        JPGExtended.dcm SC_jpeg_no_color_transform.dcm SC_jpeg_no_color_transform_2.dcm
        SC_rgb_jpeg_dcmtk.dcm SC_rgb_rle_32bit.dcm SC_rgb_small_odd.dcm SC_rgb_small_odd_jpeg.dcm
        SC_ybr_full_422_uncompressed.dcm liver_1frame.dcm mlut_18.dcm parametric_map_float.dcm pet_1.dcm
        reportsi.dcm rtdose.dcm rtplan.dcm seg_image_ct_binary_overlap.dcm sm_image_jpegls_nobot.dcm
        sr_document.dcm test16signed.dcm waveform_ecg.dcm
    """,
    "radiography_other": """
        HasFragmentSequence.dcm MG1_J2KI.dcm OutOfBoundsOverlay.dcm XA1_J2KR.dcm XA1_JPLY.dcm
    """,
    "us": """
        HTJ2KLossless_08_RGB.dcm HTJ2K_08_RGB.dcm JPEGExtended_3s_1f_u_08_08.dcm
        JPGLosslessP14SV1_1s_1f_8b.dcm OBXXXX1A_rle.dcm YBR_FULL-RLE.dcm examples_jpeg2k.dcm
        examples_palette.dcm examples_rgb_color.dcm examples_ybr_color.dcm gdcm-US-ALOKA-16.dcm
        jpeg-ls-Palette.dcm no-pixel-spacing.dcm
    """,
}
"""CT (a chest scout too), MR, ultrasound, angiography, mammograms, documents, a test pattern called CHEST."""

UNREADABLE: Files = {
    "malformed": """
        ExplVR_BigEndNoMeta.dcm ExplVR_LitEndNoMeta.dcm GH1339.dcm
        GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm GH179A.dcm GH340.dcm GH626.dcm
        MR_truncated.dcm emri_small_jpeg_2k_lossless_too_short.dcm meta_missing_tsyntax.dcm no_meta.dcm
        no_meta_group_length.dcm rtplan_truncated.dcm
    """,
    "other": """
        rtstruct.dcm
    """,
    "us": """
        GH364.dcm
    """,
}
"""No whole Part 10 file, or a data set that cannot be walked: the door refuses them."""

EXPECTED = (
    (SCORED, "scored"),
    (REFUSED_BY_THE_GATE, "gate: not_a_chest"),
    (CONTRADICTORY, "header: contradictory_header"),
    (NO_PIXEL_DATA, "header: no_pixel_data"),
    (ANOTHER_BODY_PART, "header: not_a_chest"),
    (WRONG_MODALITY, "header: wrong_modality"),
    (UNREADABLE, "unreadable"),
)


def named(files: Files) -> Iterator[str]:
    for folder, names in files.items():
        yield from (f"{folder}/{name}" for name in names.split())


@pytest.fixture(scope="module")
def shipped() -> ShippedModels:
    return ShippedModels()


def outcome(path: Path, shipped: ShippedModels) -> str:
    """Say what serving makes of a file, ages left aside."""
    try:
        header = header_of(path)
    except (HeaderRefused, InvalidDicomError, AttributeError):  # pydicom names a missing part of the file meta so
        return "unreadable"
    try:
        tensor = RECIPE.prepare(path, header).tensor
    except UnsupportedImage as refusal:
        return f"header: {refusal.reason.value}"
    reason = shipped.scope(tensor).reason
    return "scored" if reason is None else f"gate: {reason.value}"


def test_the_table_names_every_file_of_the_index_once(shared_data: Path) -> None:
    with (shared_data / "dicom/index.csv").open(newline="", encoding="utf-8") as file:
        indexed = [row["file"] for row in csv.DictReader(file)]

    listed = [name for files, _ in EXPECTED for name in named(files)]

    assert sorted(listed) == sorted(indexed)


@pytest.mark.parametrize(("files", "expected"), EXPECTED, ids=[expected for _, expected in EXPECTED])
def test_every_file_is_scored_or_refused_as_it_should(
    files: Files, expected: str, shipped: ShippedModels, shared_data: Path
) -> None:
    outcomes = {name: outcome(shared_data / "dicom" / name, shipped) for name in named(files)}

    assert outcomes == dict.fromkeys(outcomes, expected)


def test_no_small_picture_of_an_import_medium_is_scored(shipped: ShippedModels, shared_data: Path) -> None:
    medium = shared_data / "dicom/dicomdir_media"
    pictures = [path for path in sorted(medium.rglob("*")) if path.is_file() and not path.name.startswith("DICOMDIR")]

    outcomes = [outcome(path, shipped) for path in pictures]

    assert len(outcomes) > 70
    assert set(outcomes) == {"header: wrong_modality", "header: not_a_chest", "unreadable"}
