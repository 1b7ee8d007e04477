/** The images of this study and the priors beside it; a prior is loaded only when it is wanted. */

import { useTranslation } from "react-i18next";
import { daysBefore, dicomDate } from "../app/format.ts";
import { type Stack, viewLabel } from "../viewer/hanging.ts";
import { useLabelOf } from "./keys.ts";
import { Panel } from "./Panel.tsx";
import type { Prior } from "./types.ts";
import { hangable } from "./useHanging.ts";
import styles from "./Films.module.css";
import panel from "./Panel.module.css";
import choices from "./choices.module.css";

interface FilmsProps {
  stacks: readonly Stack[];
  shown: Stack | undefined;
  onShow: (index: number) => void;
  priors: readonly Prior[];
  hung: string | undefined;
  onHang: (id: string | undefined) => void;
}

export function Films({ stacks, shown, onShow, priors, hung, onHang }: FilmsProps) {
  const { t } = useTranslation("reader");
  const labelOf = useLabelOf();
  const byKey = hangable(priors)[0];
  if (stacks.length < 2 && priors.length === 0) return null;
  return (
    <Panel title={t("films.title")} id="films">
      {stacks.length > 1 && (
        <div className={choices.chips} role="group" aria-label={t("films.images")}>
          {stacks.map((stack, index) => (
            <button key={stack.id} type="button" aria-pressed={stack === shown} onClick={() => onShow(index)}>
              {[stack.modality, viewLabel(stack)].filter(Boolean).join(" ")}
              {stack.frames.length > 1 && ` · ${stack.frames.length}`}
            </button>
          ))}
        </div>
      )}
      {priors.length > 0 && (
        <ul className={styles.priors} aria-label={t("films.priors")}>
          {priors.map((prior) => (
            <li key={prior.public_id}>
              <button
                type="button"
                aria-pressed={prior.public_id === hung}
                onClick={() => onHang(prior.public_id === hung ? undefined : prior.public_id)}
              >
                <span>{dicomDate(prior.study_date) || t("films.no_date")}</span>
                <span className="quiet">{daysBefore(prior.days_before)}</span>
                <span className="quiet">{prior.modalities.join(" ")}</span>
                {prior === byKey && <kbd aria-hidden>{labelOf("compare")}</kbd>}
              </button>
              {prior.report && (
                <a href={`/reports/${prior.report.public_id}`} target="_blank" rel="noreferrer">
                  {t("films.report")}
                </a>
              )}
              {prior.identity_doubt && <p className={panel.warn}>{t("films.identity_doubt")}</p>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
