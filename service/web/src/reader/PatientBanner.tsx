/** Whose film this is, always in sight: pseudonym, sex, age, date, and how much time is left. */

import { useTranslation } from "react-i18next";
import { useServiceNow } from "../app/clock.ts";
import { dicomDate, personName, sexAge, span } from "../app/format.ts";
import { currentLanguage } from "../app/language.ts";
import styles from "./PatientBanner.module.css";
import type { CaseView } from "./types.ts";

export function PatientBanner({ view }: { view: CaseView }) {
  const { t } = useTranslation("common");
  const { patient, item } = view;
  const name = personName(patient.name, currentLanguage()) || t("unknown");
  return (
    <header className={styles.banner} data-testid="patient">
      <strong title={name}>{name}</strong>
      <span>{sexAge(t, patient.sex, patient.age_years)}</span>
      <span className="quiet" title={patient.id ?? undefined}>
        {patient.id}
      </span>
      <span className={styles.divider} />
      <span>{dicomDate(item.study_date)}</span>
      <span className="quiet">{item.study_description}</span>
      <span className="quiet">{item.site.name}</span>
      <span className={styles.spring} />
      <span data-priority={item.priority} className={styles.priority}>
        {t(`priority.${item.priority}`)}
      </span>
      {item.due_at !== null && <Due at={item.due_at} />}
    </header>
  );
}

function Due({ at }: { at: number }) {
  const { t } = useTranslation("common");
  const left = at - useServiceNow();
  const time = span(t, Math.abs(left));
  return (
    <span className={styles.due} data-late={left < 0 || undefined}>
      {t(left < 0 ? "due.over" : "due.left", { time })}
    </span>
  );
}
