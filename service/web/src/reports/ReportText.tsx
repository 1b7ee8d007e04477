/** The words of a report, as its phrase tables made them: signed, or as they would be signed now. */
import { useTranslation } from "react-i18next";
import { currentLanguage, type Language } from "../app/language.ts";
import { dicomDate, sexAge } from "../app/format.ts";
import type { Composed, Report } from "../shapes.ts";
import "./report-text.css";

interface Props {
  composed: Composed;
  language: Language;
  /** Of a signed report, which is a page of its own; without it the words stand in a dialog. */
  status?: string;
  /** Whose study it is. */
  about?: Report["about"];
}

export function ReportText({ composed, language, status, about }: Props) {
  const { t } = useTranslation("center");
  const [Title, Heading] = status ? (["h1", "h2"] as const) : (["h3", "h4"] as const);
  return (
    <article className={status ? "report-sheet" : "report-preview"} lang={language} tabIndex={status ? undefined : 0}>
      {status === "preliminary" && <p className="report-mark">{t("report.preliminary_mark")}</p>}
      <Title>{composed.title}</Title>
      {about && <About about={about} />}
      {composed.sections.map((section) => (
        <section key={section.code}>
          <Heading>{section.title}</Heading>
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
    </article>
  );
}

function About({ about }: { about: Report["about"] }) {
  const { t } = useTranslation("common");
  const { patient, sex, age_years, study_date, accession_number, site_name } = about;
  const facts = [sexAge(t, sex, age_years), dicomDate(study_date), accession_number, site_name];
  return (
    <p className="report-about" lang={currentLanguage()}>
      <b>{patient || t("unknown")}</b>
      {facts.filter(Boolean).map((fact, place) => (
        <span key={place}>{fact}</span>
      ))}
    </p>
  );
}
