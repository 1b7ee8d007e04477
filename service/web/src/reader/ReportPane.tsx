/** The report: template, coded findings, the reader's own words, what to do next; in the reader's language. */

import { MultiSelect, NativeSelect, Textarea } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { type Catalogue, type Named, nameIn } from "./catalogue.ts";
import { CodedFindings } from "./CodedFindings.tsx";
import { dateText } from "./dates.ts";
import { useLabelOf } from "./keys.ts";
import { Keyed, Panel } from "./Panel.tsx";
import { Proposed } from "./Proposed.tsx";
import styles from "./reader.module.css";
import { type Content, isUnsaved, type ReportState, type ReportStep } from "./report.ts";
import type { Prior } from "./types.ts";

interface ReportPaneProps {
  id: string;
  state: ReportState;
  catalogue: Catalogue | undefined;
  priors: readonly Prior[];
  edit: (step: ReportStep) => void;
  onPreview: () => void;
  textField: { current: HTMLTextAreaElement | null };
  /** The service keeps what is written as it is written. */
  isDraftKept?: boolean;
}

export function ReportPane(props: ReportPaneProps) {
  const { id, state, catalogue, priors, edit, onPreview, textField, isDraftKept = true } = props;
  const { t, i18n } = useTranslation("report");
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
          {isDraftKept && <span className={styles.fine}>{saved}</span>}
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
          label={t("technique")}
          data={optional(catalogue.techniques, t("no_technique"))}
          value={content.technique.code ?? ""}
          onChange={(event) => edit({ kind: "technique", code: event.target.value || null })}
        />
        <NativeSelect
          size="xs"
          className={styles.wide}
          label={t("comparison")}
          data={[
            ...(content.comparison ? [] : [{ value: "", label: t("comparison_open") }]),
            { value: NONE, label: t("no_comparison") },
            ...priors.map((one) => ({
              value: one.public_id,
              label: dateText(one.study_date, i18n.language) || t("undated"),
            })),
          ]}
          value={content.comparison ? (content.comparison.study ?? NONE) : ""}
          onChange={(event) => edit(comparisonWith(priors, event.target.value))}
        />
      </div>
      <CodedFindings findings={content.findings} catalogue={catalogue} edit={edit} />
      <Words content={content} edit={edit} textField={textField} />
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
  edit: (step: ReportStep) => void;
}

function Words({ content, edit, textField }: PartProps & Pick<ReportPaneProps, "textField">) {
  const { t } = useTranslation("report");
  return (
    <>
      <Textarea
        ref={textField}
        size="xs"
        autosize
        minRows={1}
        maxRows={8}
        label={t("findings_text")}
        value={content.findings_text}
        onChange={(event) => edit({ kind: "write", field: "findings_text", text: event.target.value })}
      />
      <Textarea
        size="xs"
        autosize
        minRows={1}
        maxRows={6}
        label={t("impression_text")}
        value={content.impression_text}
        onChange={(event) => edit({ kind: "write", field: "impression_text", text: event.target.value })}
      />
    </>
  );
}

function Follow({ content, catalogue, edit }: PartProps & { catalogue: Catalogue }) {
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
      <Textarea
        size="xs"
        autosize
        minRows={1}
        maxRows={4}
        label={t("recommendation_text")}
        value={content.recommendation_text}
        onChange={(event) => edit({ kind: "write", field: "recommendation_text", text: event.target.value })}
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
