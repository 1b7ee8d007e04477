/** The words of a report, as its phrase tables made them. */
import { useTranslation } from "react-i18next";
import type { Language } from "../app/language.ts";
import type { Composed } from "../shapes.ts";

interface Props {
  composed: Composed;
  language: Language;
  status: string;
}

export function ReportText({ composed, language, status }: Props) {
  const { t } = useTranslation("center");
  return (
    <div className={`report-sheet report-${status}`} lang={language}>
      {status === "preliminary" && <p className="report-mark">{t("report.preliminary_mark")}</p>}
      <h1>{composed.title}</h1>
      {composed.sections.map((section) => (
        <section key={section.code}>
          <h2>{section.title}</h2>
          {section.paragraphs.map((text, place) => (
            <p key={place}>{text}</p>
          ))}
        </section>
      ))}
      {composed.notices.length > 0 && (
        <aside>
          {composed.notices.map((text, place) => (
            <p key={place}>{text}</p>
          ))}
        </aside>
      )}
    </div>
  );
}
