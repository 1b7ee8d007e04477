/** What the center asks, in its own words and language. */

import { useTranslation } from "react-i18next";
import { Panel } from "./Panel.tsx";
import type { CaseView } from "./types.ts";
import styles from "./Panel.module.css";

export function Question({ view: { question } }: { view: CaseView }) {
  const { t } = useTranslation("reader");
  if (!question || !(question.question || question.history)) {
    return (
      <Panel title={t("question.title")} id="question">
        <p className="quiet">{t("question.none")}</p>
      </Panel>
    );
  }
  return (
    <Panel title={t("question.title")} id="question" aside={<span className={styles.fine}>{question.by}</span>}>
      {question.question && (
        <p className={styles.asked} lang={question.language}>
          {question.question}
        </p>
      )}
      {question.history && (
        <p className="quiet" lang={question.language}>
          {question.history}
        </p>
      )}
    </Panel>
  );
}
