"""Names, codes and ages of the chest radiograph package's channels: what does not come from training."""

from __future__ import annotations

from dataclasses import dataclass

from models.package import Names
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY


@dataclass(frozen=True, slots=True)
class OutputText:
    """How a finding is called and coded, and for which ages it speaks.

    Codes: STANDARDS 3.6. Where that has none that is confirmed in two places, the code of the DICOM context groups
    for chest findings (PS3.16 CID 6102, 6104) stands, and for pleural thickening our own scheme 99PANDOK.
    """

    finding: str
    code_value: str
    code_scheme: str
    code_meaning: str
    names: Names
    min_age_years: float
    max_age_years: float | None


def adult_text(finding: str, code: tuple[str, str, str], names: Names) -> OutputText:
    """Return the text of a finding of adults, with its code as value, scheme and meaning."""
    value, scheme, meaning = code
    return OutputText(finding, value, scheme, meaning, names, min_age_years=18.0, max_age_years=None)


TEXTS = (
    OutputText(
        finding=CHILD_OPACITY,
        code_value="112001",
        code_scheme="DCM",
        code_meaning="Opacity",
        names=Names(
            en="Pneumonia-like opacity (children 1–5 years)",
            ko="폐렴 의심 음영 (1–5세 소아)",
            vi="Đám mờ dạng viêm phổi (trẻ 1–5 tuổi)",
            ru="Затемнение, похожее на пневмонию (дети 1–5 лет)",
        ),
        min_age_years=1.0,
        max_age_years=6.0,
    ),
    adult_text(
        ANY_FINDING,
        ("263654008", "SCT", "Abnormal"),
        Names(en="Any finding", ko="이상 소견", vi="Có bất thường", ru="Отклонения от нормы"),
    ),
    adult_text(
        ADULT_OPACITY,
        ("112001", "DCM", "Opacity"),
        Names(
            en="Pneumonia-like opacity",
            ko="폐렴 의심 음영",
            vi="Đám mờ dạng viêm phổi",
            ru="Затемнение, похожее на пневмонию",
        ),
    ),
    adult_text(
        "atelectasis",
        ("46621007", "SCT", "Atelectasis"),
        Names(en="Atelectasis", ko="무기폐", vi="Xẹp phổi", ru="Ателектаз"),
    ),
    adult_text(
        "cardiomegaly",
        ("8186001", "SCT", "Cardiomegaly"),
        Names(en="Cardiomegaly", ko="심비대", vi="Bóng tim to", ru="Кардиомегалия"),
    ),
    adult_text(
        "consolidation",
        ("95436008", "SCT", "Lung consolidation"),
        Names(en="Consolidation", ko="폐경화", vi="Đông đặc phổi", ru="Консолидация лёгочной ткани"),
    ),
    adult_text(
        "edema",
        ("19242006", "SCT", "Pulmonary edema"),
        Names(en="Pulmonary edema", ko="폐부종", vi="Phù phổi", ru="Отёк лёгких"),
    ),
    adult_text(
        "effusion",
        ("60046008", "SCT", "Pleural effusion"),
        Names(en="Pleural effusion", ko="흉막삼출", vi="Tràn dịch màng phổi", ru="Плевральный выпот"),
    ),
    adult_text(
        "emphysema",
        ("87433001", "SCT", "Pulmonary emphysema"),
        Names(en="Emphysema", ko="폐기종", vi="Khí phế thũng", ru="Эмфизема лёгких"),
    ),
    adult_text(
        "fibrosis",
        ("51615001", "SCT", "Fibrosis of lung"),
        Names(en="Pulmonary fibrosis", ko="폐섬유화", vi="Xơ phổi", ru="Фиброз лёгких"),
    ),
    adult_text(
        "hernia",
        ("39839004", "SCT", "Diaphragmatic hernia"),  # the wider term: the label does not say hiatal
        Names(en="Diaphragmatic or hiatal hernia", ko="횡격막 탈장", vi="Thoát vị hoành", ru="Диафрагмальная грыжа"),
    ),
    adult_text(
        "infiltration",
        ("112121", "DCM", "Infiltrate"),
        Names(en="Infiltrate", ko="폐침윤", vi="Thâm nhiễm phổi", ru="Инфильтрация лёгочной ткани"),
    ),
    adult_text(
        "mass",
        ("309529002", "SCT", "Lung mass"),
        Names(en="Lung mass", ko="폐종괴", vi="Khối ở phổi", ru="Объёмное образование лёгкого"),
    ),
    adult_text(
        "nodule",
        ("786838002", "SCT", "Nodule of lung"),
        Names(en="Lung nodule", ko="폐결절", vi="Nốt phổi", ru="Очаг в лёгком"),
    ),
    adult_text(
        "pleural_thickening",
        ("pleural_thickening", "99PANDOK", "Pleural thickening"),
        Names(en="Pleural thickening", ko="흉막비후", vi="Dày màng phổi", ru="Утолщение плевры"),
    ),
    adult_text(
        "pneumonia",
        ("233604007", "SCT", "Pneumonia"),
        Names(en="Pneumonia (suspected)", ko="폐렴 의심", vi="Nghi viêm phổi", ru="Подозрение на пневмонию"),
    ),
    adult_text(
        "pneumothorax",
        ("36118008", "SCT", "Pneumothorax"),
        Names(en="Pneumothorax", ko="기흉", vi="Tràn khí màng phổi", ru="Пневмоторакс"),
    ),
)
"""In the order of `training.cases.FINDINGS`."""
