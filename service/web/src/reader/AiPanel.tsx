/** What the AI found, from the first impression on, each finding with the reader's judgement. */

import { useTranslation } from "react-i18next";
import { currentLanguage } from "../app/language.ts";
import { Opacity } from "../viewer/Opacity.tsx";
import { useLabelOf } from "./keys.ts";
import { Panel } from "./Panel.tsx";
import type { AiView, CaseView, Judgement } from "./types.ts";
import { type Shown, type Step, unjudged, type VerdictState } from "./verdicts.ts";
import styles from "./AiPanel.module.css";
import panel from "./Panel.module.css";
import choices from "./choices.module.css";

type OnFinding = Exclude<Judgement, "missed">;
const JUDGEMENTS: readonly [OnFinding, "confirm" | "reject" | "uncertain"][] = [
  ["confirmed", "confirm"],
  ["rejected", "reject"],
  ["uncertain", "uncertain"],
];

interface AiPanelProps {
  state: VerdictState;
  ai: AiView | null;
  unscored: CaseView["unscored"];
  step: (step: Step) => void;
}

export function AiPanel({ state, ai, unscored, step }: AiPanelProps) {
  const { t } = useTranslation("reader");
  const labelOf = useLabelOf();
  if (state.impression === null) {
    return (
      <Panel title={t("ai.title")} id="ai">
        <p className="quiet">{t("ai.locked")}</p>
        <Unscored unscored={unscored} />
      </Panel>
    );
  }
  const left = unjudged(state).length;
  const hasRun = (ai?.runs.length ?? 0) > 0;
  return (
    <Panel
      title={t("ai.title")}
      id="ai"
      aside={
        <>
          {state.shown.length > 0 && <Opacity />}
          {left > 0 && <span className={styles.count}>{t("ai.left", { count: left })}</span>}
        </>
      }
    >
      {state.shown.length === 0 && (
        <p className="quiet">{hasRun ? t("ai.nothing_flagged") : t("ai.no_result")}</p>
      )}
      <ol className={styles.findings}>
        {state.shown.map((shown, index) => (
          <Row
            key={shown.finding.finding_id}
            shown={shown}
            judgement={state.judged[shown.finding.finding_id]}
            isSelected={index === state.selected}
            onSelect={() => step({ kind: "select", index })}
            onJudge={(judgement) => {
              step({ kind: "select", index });
              step({ kind: "judge", judgement });
            }}
          />
        ))}
      </ol>
      {left > 0 && state.impression === "normal" && (
        <p className="quiet">{t("ai.accept_normal", { key: labelOf("accept") })}</p>
      )}
      <Unscored unscored={unscored} />
      {hasRun && <p className={panel.fine}>{ai?.runs.map((run) => `${run.package} ${run.version}`).join(", ")}</p>}
    </Panel>
  );
}

interface RowProps {
  shown: Shown;
  judgement: Judgement | undefined;
  isSelected: boolean;
  onSelect: () => void;
  onJudge: (judgement: OnFinding) => void;
}

function Row({ shown: { finding }, judgement, isSelected, onSelect, onJudge }: RowProps) {
  const { t, i18n } = useTranslation("reader");
  const labelOf = useLabelOf();
  const percent = new Intl.NumberFormat(i18n.language, { style: "percent", maximumFractionDigits: 0 });
  const name = finding.names[currentLanguage()];
  return (
    <li data-selected={isSelected || undefined} data-finding={finding.code} data-judgement={judgement}>
      <button type="button" className={styles.findingName} onClick={onSelect} aria-current={isSelected || undefined}>
        <span>{name}</span>
        {finding.probability !== null && finding.calibrated && <b>{percent.format(finding.probability)}</b>}
      </button>
      {finding.probability !== null && finding.calibrated && (
        <div className={styles.bar} aria-hidden>
          <i style={{ width: percent.format(finding.probability).replace(/\s/g, "") }} />
          {finding.threshold !== null && <em style={{ left: `${finding.threshold * 100}%` }} />}
        </div>
      )}
      {finding.experimental && <p className={panel.fine}>{t("ai.experimental")}</p>}
      {finding.evidence && (
        <p className={panel.fine}>
          {t("ai.evidence", {
            auroc: finding.evidence.auroc.toFixed(2),
            low: finding.evidence.low.toFixed(2),
            high: finding.evidence.high.toFixed(2),
            films: finding.evidence.films,
          })}
        </p>
      )}
      <div className={choices.judge} role="group" aria-label={t("ai.judge", { name })}>
        {JUDGEMENTS.map(([value, command]) => (
          <button
            key={value}
            type="button"
            data-command={command}
            data-value={value}
            aria-pressed={judgement === value}
            onClick={() => onJudge(value)}
          >
            {t(`judgement.${value}`)} {isSelected && <kbd aria-hidden>{labelOf(command)}</kbd>}
          </button>
        ))}
      </div>
    </li>
  );
}

function Unscored({ unscored }: { unscored: CaseView["unscored"] }) {
  const { t } = useTranslation(["reader", "common"]);
  if (unscored.length === 0) return null;
  const reasons = [...new Set(unscored.map(({ reason }) => reason))];
  const word = (reason: string) => t(`common:reason.${reason}` as never, { defaultValue: reason }) as string;
  return (
    <p className={styles.unscored} data-testid="unscored">
      {t("ai.unscored", { ns: "reader", reasons: reasons.map(word).join(", ") })}
    </p>
  );
}
