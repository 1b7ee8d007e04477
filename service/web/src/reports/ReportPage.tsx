/** A signed report in the reader's language: on the page, and as the PDF that was signed. */
import { Button, NativeSelect, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { moment } from "../app/format.ts";
import { currentLanguage, type Language, LANGUAGE_CODES, LANGUAGES } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import type { Report } from "../shapes.ts";
import { Corrections } from "./Corrections.tsx";
import { ReportText } from "./ReportText.tsx";
import "./reports.css";

export default function ReportPage() {
  const { id } = useParams({ from: "/inside/reports/$id" });
  return <ReportView key={id} id={id} />;
}

export function ReportView({ id }: { id: string }) {
  const { t } = useTranslation("center");
  const me = useMe();
  const [language, setLanguage] = useState<Language>(currentLanguage);
  const [version, setVersion] = useState<number | null>(null);
  const [isCorrecting, setCorrecting] = useState(false);
  const { data: report, error } = useQuery({
    queryKey: ["report", id, version],
    queryFn: () => ask<Report>(`/api/reports/${id}`, { query: { version } }),
  });
  if (error) throw error;
  if (!report) return <p className="notice-page quiet">{t("common:loading")}</p>;
  const composed = report.texts[language];
  const pdf = `/api/reports/${id}/pdf?language=${language}&version=${report.number}`;
  return (
    <article className="report">
      <header className="report-bar">
        <SegmentedControl
          size="xs" aria-label={t("report.language")} value={language} onChange={(value) => setLanguage(value as Language)}
          data={LANGUAGE_CODES.map((code) => ({ value: code, label: LANGUAGES[code] }))}
        />
        {report.versions.length > 1 && (
          <NativeSelect
            size="xs" aria-label={t("report.version")} value={String(report.number)} disabled={isCorrecting}
            data={report.versions.map((one) => ({
              value: String(one.number),
              label: t("report.version_line", { number: one.number, status: t(`report.status.${one.status}` as "report.status.final") }),
            }))}
            onChange={(event) => setVersion(Number(event.currentTarget.value))}
          />
        )}
        <span className="report-gap" />
        <Button size="xs" component="a" href={pdf} download={`report-${id.slice(0, 8)}-${report.number}-${language}.pdf`}>
          {t("report.pdf")}
        </Button>
      </header>
      {!report.is_latest && <p className="report-older">{t("report.older")}</p>}
      {composed && <ReportText composed={composed} language={language} status={report.status} about={report.about} />}
      <footer className="report-foot">
        <p>
          {t(`report.status.${report.status}` as "report.status.final")} · {report.signer}
          {report.licence && ` (${report.licence})`} · {moment(report.signed_at, me.time_zone)}
        </p>
        {report.reason && <p>{t("report.reason", { reason: report.reason })}</p>}
        <p className="quiet report-hash">SHA-256 {report.sha256}</p>
      </footer>
      {report.may_correct && report.is_latest && (
        <Corrections key={report.number} report={report} onSigned={() => setVersion(null)} onUnsaved={setCorrecting} />
      )}
    </article>
  );
}
