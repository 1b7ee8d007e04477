/** How good the film is, and why it is no better. */

import { useTranslation } from "react-i18next";
import { type Catalogue, nameIn } from "./catalogue.ts";
import { graded, GRADES, withReason } from "./quality.ts";
import styles from "./choices.module.css";
import type { Quality } from "./types.ts";

interface QualityProps {
  quality: Quality | null;
  catalogue: Catalogue | undefined;
  onChange: (quality: Quality) => void;
}

export function QualityChoice({ quality, catalogue, onChange }: QualityProps) {
  const { t } = useTranslation("reader");
  return (
    <>
      <div className={styles.quality} role="group" aria-label={t("quality.title")}>
        <span className="quiet">{t("quality.title")}</span>
        {GRADES.map((grade) => (
          <button
            key={grade}
            type="button"
            data-grade={grade}
            aria-pressed={quality?.grade === grade}
            onClick={() => onChange(graded(quality, grade))}
          >
            {t(`quality.${grade}`)}
          </button>
        ))}
      </div>
      {quality && quality.grade !== "good" && (
        <div className={styles.chips} role="group" aria-label={t("quality.reasons")}>
          {catalogue?.quality_reasons.map(({ code }) => (
            <button
              key={code}
              type="button"
              aria-pressed={quality.reasons.includes(code)}
              onClick={() => onChange(withReason(quality, code))}
            >
              {nameIn(catalogue.quality_reasons, code)}
            </button>
          ))}
        </div>
      )}
    </>
  );
}
