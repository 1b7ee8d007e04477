/** Whose film this is, always in sight: pseudonym, sex, age, date, and how much time is left. */

import { useTranslation } from "react-i18next";
import { useServiceNow } from "../app/clock.ts";
import { dateText, durationText } from "./dates.ts";
import styles from "./reader.module.css";
import type { CaseView } from "./types.ts";

export function PatientBanner({ view }: { view: CaseView }) {
  const { t, i18n } = useTranslation("reader");
  const { patient, item } = view;
  const age = patient.age_years === null ? t("patient.age_unknown") : ageText(patient.age_years, i18n.language);
  const sex =
    patient.sex === "M" || patient.sex === "F" || patient.sex === "O" ? t(`sex.${patient.sex}`) : t("sex.unknown");
  return (
    <header className={styles.banner} data-testid="patient">
      <strong>{nameText(patient.name) || t("patient.no_name")}</strong>
      <span>{[sex, age].join(" · ")}</span>
      <span className={styles.quiet}>{patient.id}</span>
      <span className={styles.divider} />
      <span>{dateText(item.study_date, i18n.language)}</span>
      <span className={styles.quiet}>{item.study_description}</span>
      <span className={styles.quiet}>{item.site.name}</span>
      <span className={styles.spring} />
      <span data-priority={item.priority} className={styles.priority}>
        {t(`priority.${item.priority}`)}
      </span>
      {item.due_at !== null && <Due at={item.due_at} />}
    </header>
  );
}

function Due({ at }: { at: number }) {
  const { t, i18n } = useTranslation("reader");
  const now = useServiceNow();
  const left = at - now;
  const time = durationText(Math.abs(left), i18n.language);
  return (
    <span className={styles.due} data-late={left < 0 || undefined}>
      {left < 0 ? t("due.late", { time }) : t("due.left", { time })}
    </span>
  );
}

/** DICOM writes the parts of a name with carets; groups after "=" are other spellings of it. */
function nameText(name: string | null): string {
  const [alphabetic = "", ideographic = "", phonetic = ""] = (name ?? "").split("=");
  const tidy = (group: string) => group.split("^").filter(Boolean).join(" ");
  return tidy(ideographic) || tidy(alphabetic) || tidy(phonetic);
}

/** Children's age in months: a year is too coarse below two. */
function ageText(years: number, language: string): string {
  const [value, unit] = years < 2 ? [Math.floor(years * 12), "month"] : [Math.floor(years), "year"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value);
}
