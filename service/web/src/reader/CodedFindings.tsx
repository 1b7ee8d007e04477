/** Findings as codes: what every language's sentence is made from. Only what a finding can have is asked. */

import { MultiSelect, NativeSelect, NumberInput, Select } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type Catalogue, entryOf, type Named, nameIn, reportable, severitiesOf } from "./catalogue.ts";
import { OwnWords } from "./OwnWords.tsx";
import { newFinding, type ReportFinding, type ReportStep } from "./report.ts";
import styles from "./lines.module.css";

interface CodedFindingsProps {
  findings: readonly ReportFinding[];
  catalogue: Catalogue;
  edit: (step: ReportStep) => void;
}

const MACRO = "macro:";

export function CodedFindings({ findings, catalogue, edit }: CodedFindingsProps) {
  const { t } = useTranslation("report");
  const [open, setOpen] = useState<number>();

  function add(value: string | null) {
    if (!value) return;
    const macro = value.startsWith(MACRO) && catalogue.macros.find(({ code }) => code === value.slice(MACRO.length));
    if (macro) edit({ kind: "macro", macro: { findings: macro.findings, recommendations: macro.recommendations } });
    else edit({ kind: "add", finding: newFinding(value) });
  }

  return (
    <>
      <ul className={styles.lines} aria-label={t("coded")}>
        {findings.map((finding, index) => (
          <li
            key={`${finding.finding_id ?? ""}/${finding.code}/${index}`}
            data-coded={finding.code}
            data-presence={finding.presence}
          >
            <button
              type="button"
              className={styles.line}
              aria-expanded={open === index}
              onClick={() => setOpen(open === index ? undefined : index)}
            >
              {sentence(finding, catalogue, t("no_sign"))}
            </button>
            <button
              type="button"
              className={styles.drop}
              aria-label={t("drop", { name: nameIn(catalogue.findings, finding.code) })}
              onClick={() => edit({ kind: "drop", index })}
            >
              ×
            </button>
            {open === index && (
              <Detail
                finding={finding}
                catalogue={catalogue}
                onChange={(change) => edit({ kind: "finding", index, change })}
              />
            )}
          </li>
        ))}
      </ul>
      <Select
        size="xs"
        aria-label={t("add_coded")}
        placeholder={t("add_coded")}
        searchable
        selectFirstOptionOnChange
        value={null}
        onChange={add}
        data={[
          {
            group: t("macros"),
            items: catalogue.macros.map(({ code }) => ({ value: MACRO + code, label: nameIn(catalogue.macros, code) })),
          },
          {
            group: t("coded"),
            items: reportable(catalogue).map(({ code }) => ({ value: code, label: nameIn(catalogue.findings, code) })),
          },
        ]}
      />
    </>
  );
}

/** A line for the list; the sentences of the report are the service's. */
function sentence(finding: ReportFinding, catalogue: Catalogue, noSign: string): string {
  const details = [
    finding.side && nameIn(catalogue.sides, finding.side),
    ...finding.zones.map((zone) => nameIn(catalogue.zones, zone)),
    finding.severity && nameIn(severitiesOf(catalogue, finding.code), finding.severity),
    finding.size_mm !== null && `${finding.size_mm} mm`,
    finding.change && nameIn(catalogue.changes, finding.change),
  ].filter(Boolean);
  const name = nameIn(catalogue.findings, finding.code);
  const whole = [name, ...details].join(", ");
  return finding.presence === "absent"
    ? `${noSign}: ${whole}`
    : finding.presence === "uncertain"
      ? `${whole} (?)`
      : whole;
}

interface DetailProps {
  finding: ReportFinding;
  catalogue: Catalogue;
  onChange: (change: Partial<ReportFinding>) => void;
}

function Detail({ finding, catalogue, onChange }: DetailProps) {
  const { t } = useTranslation("report");
  const entry = entryOf(catalogue, finding.code);
  const severities = severitiesOf(catalogue, finding.code);
  const choice = (
    label: string,
    codes: readonly string[],
    named: readonly Named[],
    value: string | null,
    set: (code: string | null) => void,
  ) =>
    codes.length > 0 && (
      <NativeSelect
        size="xs"
        label={label}
        data={[
          { value: "", label: t("unsaid") },
          ...codes.map((code) => ({ value: code, label: nameIn(named, code) })),
        ]}
        value={value ?? ""}
        onChange={(event) => set(event.target.value || null)}
      />
    );
  const codesOf = (named: readonly Named[]) => named.map(({ code }) => code);
  return (
    <div className={styles.detail}>
      <NativeSelect
        size="xs"
        label={t("presence")}
        data={(["present", "uncertain", "absent"] as const).map((value) => ({ value, label: t(`presence.${value}`) }))}
        value={finding.presence}
        onChange={(event) => onChange({ presence: event.target.value as ReportFinding["presence"] })}
      />
      {choice(t("side"), entry?.sides ?? [], catalogue.sides, finding.side, (side) => onChange({ side }))}
      {entry?.zones && (
        <MultiSelect
          size="xs"
          label={t("zone")}
          placeholder={finding.zones.length === 0 ? t("unsaid") : undefined}
          data={catalogue.zones.map(({ code }) => ({ value: code, label: nameIn(catalogue.zones, code) }))}
          value={finding.zones}
          onChange={(zones) => onChange({ zones })}
        />
      )}
      {choice(t("severity"), codesOf(severities), severities, finding.severity, (severity) => onChange({ severity }))}
      {choice(t("change"), codesOf(catalogue.changes), catalogue.changes, finding.change, (change) =>
        onChange({ change }),
      )}
      {choice(
        t("certainty"),
        codesOf(catalogue.certainties),
        catalogue.certainties,
        finding.certainty === null ? null : String(finding.certainty),
        (level) => onChange({ certainty: level ? Number(level) : null }),
      )}
      {entry?.size && (
        <NumberInput
          size="xs"
          label={t("size_mm")}
          min={1}
          max={999}
          value={finding.size_mm ?? ""}
          onChange={(size) => onChange({ size_mm: Number(size) || null })}
        />
      )}
      {entry?.count && (
        <NumberInput
          size="xs"
          label={t("count")}
          min={1}
          max={99}
          value={finding.count ?? ""}
          onChange={(count) => onChange({ count: Number(count) || null })}
        />
      )}
      <OwnWords className={styles.wide} label={t("finding_text")} value={finding.text} onChange={(text) => onChange({ text })} />
    </div>
  );
}
