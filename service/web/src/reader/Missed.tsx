/** What the reader saw and the AI did not: findings added by hand, and how good the film is. */

import { NativeSelect, Select } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type Catalogue, entryOf, type Named, nameIn, reportable, severitiesOf } from "./catalogue.ts";
import { useLabelOf } from "./keys.ts";
import { Keyed, Panel } from "./Panel.tsx";
import { boxAround } from "./places.ts";
import { QualityChoice } from "./QualityChoice.tsx";
import type { CaseInstance, Place, Verdict } from "./types.ts";
import type { Step, VerdictState } from "./verdicts.ts";
import panel from "./Panel.module.css";
import lines from "./lines.module.css";

interface MissedProps {
  state: VerdictState;
  catalogue: Catalogue | undefined;
  isAdding: boolean;
  setAdding: (adding: boolean) => void;
  /** The place that the reader pointed at last, if any: it goes with the finding. */
  place: Place | undefined;
  /** The image that the place is on. */
  image: CaseInstance | undefined;
  /** The finding took the place with it: the next one needs its own. */
  onPlaceUsed: () => void;
  /** Why the verdicts could not be stored. */
  error: string | undefined;
  step: (step: Step) => void;
}

export function Missed({ state, catalogue, isAdding, setAdding, place, image, onPlaceUsed, error, step }: MissedProps) {
  const { t } = useTranslation("reader");
  const labelOf = useLabelOf();
  if (state.impression === null) return null;
  return (
    <Panel
      title={t("missed.title")}
      id="missed"
      aside={
        !isAdding && (
          <Keyed command="add_missed" label={labelOf("add_missed")} tone="quiet" onClick={() => setAdding(true)}>
            {t("missed.add")}
          </Keyed>
        )
      }
    >
      <ul className={lines.lines}>
        {state.missed.map((verdict, index) => (
          <li key={`${verdict.code}/${verdict.side}/${index}`} data-missed={verdict.code}>
            <span>{lineOf(verdict, catalogue)}</span>
            <button
              type="button"
              className={lines.drop}
              aria-label={t("missed.drop", { name: nameIn(catalogue?.findings, verdict.code) })}
              onClick={() => step({ kind: "drop", index })}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      {isAdding && catalogue && (
        <AddForm
          catalogue={catalogue}
          place={place}
          image={image}
          onAdd={(verdict) => {
            step({ kind: "add", verdict });
            if (verdict.place) onPlaceUsed();
            setAdding(false);
          }}
          onClose={() => setAdding(false)}
        />
      )}
      {error && (
        <p role="alert" className={panel.warn} data-testid="verdicts-error">
          {error}
        </p>
      )}
      <QualityChoice quality={state.quality} catalogue={catalogue} onChange={(quality) => step({ kind: "quality", quality })} />
    </Panel>
  );
}

function lineOf(verdict: Verdict, catalogue: Catalogue | undefined): string {
  const parts = [
    nameIn(catalogue?.findings, verdict.code),
    verdict.side && nameIn(catalogue?.sides, verdict.side),
    verdict.severity && nameIn(severitiesOf(catalogue, verdict.code), verdict.severity),
  ];
  return parts.filter(Boolean).join(", ");
}

interface AddFormProps {
  catalogue: Catalogue;
  place: Place | undefined;
  image: CaseInstance | undefined;
  onAdd: (verdict: Verdict) => void;
  onClose: () => void;
}

function AddForm({ catalogue, place, image, onAdd, onClose }: AddFormProps) {
  const { t } = useTranslation("reader");
  const labelOf = useLabelOf();
  const [code, setCode] = useState<string | null>(null);
  const [side, setSide] = useState("");
  const [severity, setSeverity] = useState("");
  const entry = entryOf(catalogue, code);
  const severities = severitiesOf(catalogue, code);
  const options = (codes: readonly string[], named: readonly Named[]) => [
    { value: "", label: t("missed.unsaid") },
    ...codes.map((one) => ({ value: one, label: nameIn(named, one) })),
  ];

  function add() {
    if (!code) return;
    const box = place && image && boxAround(place, image);
    onAdd({
      finding_id: null,
      code,
      judgement: "missed",
      side: side || null,
      severity: severity || null,
      instance: box ? place.instance : null,
      place: box ?? null,
    });
  }

  return (
    <form
      className={panel.form}
      onSubmit={(event) => {
        event.preventDefault();
        add();
      }}
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <Select
        label={t("missed.finding")}
        data={reportable(catalogue).map((one) => ({ value: one.code, label: nameIn(catalogue.findings, one.code) }))}
        value={code}
        onChange={setCode}
        searchable
        data-autofocus
        autoFocus
        selectFirstOptionOnChange
        comboboxProps={{ withinPortal: true }}
        size="xs"
      />
      {entry && entry.sides.length > 0 && (
        <NativeSelect
          size="xs"
          label={t("missed.side")}
          data={options(entry.sides, catalogue.sides)}
          value={side}
          onChange={(event) => setSide(event.target.value)}
        />
      )}
      {severities.length > 0 && (
        <NativeSelect
          size="xs"
          label={t("missed.severity")}
          data={options(
            severities.map((one) => one.code),
            severities,
          )}
          value={severity}
          onChange={(event) => setSeverity(event.target.value)}
        />
      )}
      <p className={panel.fine}>
        {place ? t("missed.has_place") : t("missed.no_place", { key: labelOf("tool_place") })}
      </p>
      <div className={panel.row}>
        <button type="submit" className={panel.keyed} data-tone="primary" disabled={!code}>
          {t("missed.add")}
        </button>
        <Keyed label="Esc" tone="quiet" onClick={onClose}>
          {t("cancel")}
        </Keyed>
      </div>
    </form>
  );
}
