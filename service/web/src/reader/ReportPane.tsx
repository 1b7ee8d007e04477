/** The report: template, coded findings, the reader's own words, what to do next; in the reader's language. */

import { MultiSelect, NativeSelect } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { dicomDate } from "../app/format.ts";
import { type Catalogue, type Named, nameIn } from "./catalogue.ts";
import { CodedFindings } from "./CodedFindings.tsx";
import { useLabelOf } from "./keys.ts";
import { OwnWords } from "./OwnWords.tsx";
import { Keyed, Panel } from "./Panel.tsx";
import { Proposed } from "./Proposed.tsx";
import { QualityChoice } from "./QualityChoice.tsx";
import { type Content, isUnsaved, type ReportState, type ReportStep } from "./report.ts";
import type { Prior } from "./types.ts";
import panel from "./Panel.module.css";
import styles from "./ReportPane.module.css";

interface ReportPaneProps {
  id: string;
  state: ReportState;
  catalogue: Catalogue | undefined;
  priors: readonly Prior[];
  edit: (step: ReportStep) => void;
  onPreview: () => void;
  textField: { current: HTMLTextAreaElement | null };
  /** A signed report is amended: no draft is kept, and how good the film is can be said here alone. */
  isAmendment?: boolean;
}

export function ReportPane(props: ReportPaneProps) {
  const { id, state, catalogue, priors, edit, onPreview, textField, isAmendment = false } = props;
  const { t } = useTranslation("report");
  const labelOf = useLabelOf();
  const { content } = state;
  if (!content || !catalogue) return null;
  const saved = isUnsaved(state) ? t("saving") : state.isEdited ? t("saved") : "";
  return (
    <Panel
      title={t("title")}
      id="report"
      aside={
        <>
          {!isAmendment && <span className={panel.fine}>{saved}</span>}
          <Keyed command="preview" label={labelOf("preview")} tone="quiet" onClick={onPreview}>
            {t("preview")}
          </Keyed>
        </>
      }
    >
      <div className={styles.pair}>
        <NativeSelect
          size="xs"
          label={t("template")}
          data={optional(catalogue.templates, t("no_template"))}
          value={content.template ?? ""}
          onChange={(event) => edit({ kind: "template", code: event.target.value || null })}
        />
        <NativeSelect
          size="xs"
          label={t("comparison")}
          data={[
            ...(content.comparison ? [] : [{ value: "", label: t("comparison_open") }]),
            { value: NONE, label: t("no_comparison") },
            ...priors.map((one) => ({
              value: one.public_id,
              label: dicomDate(one.study_date) || t("undated"),
            })),
          ]}
          value={content.comparison ? (content.comparison.study ?? NONE) : ""}
          onChange={(event) => edit(comparisonWith(priors, event.target.value))}
        />
        <NativeSelect
          size="xs"
          className={styles.wide}
          label={t("technique")}
          data={optional(catalogue.techniques, t("no_technique"))}
          value={content.technique.code ?? ""}
          onChange={(event) => edit({ kind: "technique", change: { code: event.target.value || null } })}
        />
        <OwnWords
          className={styles.wide}
          label={t("technique_text")}
          value={content.technique.text}
          onChange={(text) => edit({ kind: "technique", change: { text } })}
        />
      </div>
      {isAmendment && (
        <QualityChoice
          quality={content.quality}
          catalogue={catalogue}
          onChange={(quality) => edit({ kind: "quality", quality })}
        />
      )}
      <CodedFindings findings={content.findings} catalogue={catalogue} edit={edit} />
      <OwnWords
        field={textField}
        label={t("findings_text")}
        value={content.findings_text}
        onChange={(text) => edit({ kind: "write", field: "findings_text", text })}
      />
      <OwnWords
        label={t("impression_text")}
        value={content.impression_text}
        onChange={(text) => edit({ kind: "write", field: "impression_text", text })}
      />
      <Proposed id={id} content={content} catalogue={catalogue} onTake={(follow) => edit({ kind: "follow", follow })} />
      <Follow content={content} catalogue={catalogue} edit={edit} />
    </Panel>
  );
}

const NONE = "none";

/** Returns the step that says what the films were compared with. */
export function comparisonWith(priors: readonly Prior[], id: string): ReportStep {
  const prior = priors.find((one) => one.public_id === id);
  return { kind: "compare", study: prior?.public_id ?? null, date: isoDate(prior?.study_date ?? null) };
}

function isoDate(date: string | null): string | null {
  const parts = /^(\d{4})(\d{2})(\d{2})$/.exec(date ?? "");
  return parts ? `${parts[1]}-${parts[2]}-${parts[3]}` : date;
}

interface PartProps {
  content: Content;
  catalogue: Catalogue;
  edit: (step: ReportStep) => void;
}

function Follow({ content, catalogue, edit }: PartProps) {
  const { t } = useTranslation("report");
  const options = (named: readonly Named[]) => named.map(({ code }) => ({ value: code, label: nameIn(named, code) }));
  return (
    <>
      <MultiSelect
        size="xs"
        label={t("recommendations")}
        placeholder={content.recommendations.length === 0 ? t("none") : undefined}
        data={options(catalogue.recommendations)}
        value={content.recommendations}
        onChange={(codes) => edit({ kind: "recommendations", codes })}
        searchable
      />
      <OwnWords
        label={t("recommendation_text")}
        value={content.recommendation_text}
        onChange={(text) => edit({ kind: "write", field: "recommendation_text", text })}
      />
      <div className={styles.pair}>
        <MultiSelect
          size="xs"
          label={t("departments")}
          placeholder={content.departments.length === 0 ? t("none") : undefined}
          data={options(catalogue.departments)}
          value={content.departments}
          onChange={(codes) => edit({ kind: "departments", codes })}
        />
        <NativeSelect
          size="xs"
          label={t("critical")}
          data={optional(catalogue.critical_categories, t("not_critical"))}
          value={String(content.critical_category ?? "")}
          onChange={(event) =>
            edit({ kind: "critical", category: (Number(event.target.value) || null) as Content["critical_category"] })
          }
        />
      </div>
    </>
  );
}

function optional(named: readonly Named[], none: string): { value: string; label: string }[] {
  return [{ value: "", label: none }, ...named.map(({ code }) => ({ value: code, label: nameIn(named, code) }))];
}
