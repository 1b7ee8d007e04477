/** The first impression: asked before anything of the AI is shown, stored once, never changed. */

import { useTranslation } from "react-i18next";
import { useLabelOf } from "./keys.ts";
import { Keyed, Panel } from "./Panel.tsx";
import type { Impression } from "./types.ts";
import styles from "./Impressions.module.css";
import panel from "./Panel.module.css";

export const IMPRESSIONS: readonly Impression[] = ["normal", "abnormal", "cannot_tell"];

interface ImpressionsProps {
  given: Impression | null;
  places: number;
  error: string | undefined;
  canGive: (impression: Impression) => boolean;
  /** No film could be shown. */
  isUnseen: boolean;
  /** Images came after the case was opened. */
  hasNewImages: boolean;
  onGive: (impression: Impression) => void;
}

export function Impressions({ given, places, error, canGive, isUnseen, hasNewImages, onGive }: ImpressionsProps) {
  const { t } = useTranslation("reader");
  const labelOf = useLabelOf();
  if (given !== null) {
    return (
      <Panel
        title={t("impression.title")}
        id="impression"
        aside={<b data-impression={given}>{t(`impression.${given}`)}</b>}
      >
        {null}
      </Panel>
    );
  }
  return (
    <Panel title={t("impression.title")} id="impression">
      {hasNewImages && (
        <p role="alert" className={panel.warn} data-testid="new-images">
          {t("impression.new_images")}
        </p>
      )}
      <p className="quiet">{t("impression.why")}</p>
      {isUnseen && <p className={panel.warn}>{t("impression.unseen")}</p>}
      <div className={styles.three}>
        {IMPRESSIONS.map((impression) => (
          <Keyed
            key={impression}
            command={`impression_${impression}`}
            label={labelOf(`impression_${impression}`)}
            disabled={!canGive(impression)}
            onClick={() => onGive(impression)}
          >
            {t(`impression.${impression}`)}
          </Keyed>
        ))}
      </div>
      <p className="quiet">
        {places > 0 ? t("impression.places", { count: places }) : t("impression.point", { key: labelOf("tool_place") })}
      </p>
      {error && (
        <p role="alert" className={panel.warn}>
          {error}
        </p>
      )}
    </Panel>
  );
}
