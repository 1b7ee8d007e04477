/** Where a study stands, and what the center should put right. */
import { useTranslation } from "react-i18next";
import { wordsFor } from "../app/language.ts";
import type { CenterStudy } from "../shapes.ts";

export function Stage({ stage }: { stage: CenterStudy["stage"] }) {
  const { t } = useTranslation("center");
  return <span className={`stage stage-${stage}`}>{t(`stage.${stage}`)}</span>;
}

export function Attention({ attention }: { attention: CenterStudy["attention"] }) {
  const { t } = useTranslation("center");
  return attention.map((one, place) => (
    <small key={place} className="attention">
      {t(`attention.${one.code}`, { count: one.count })}
      {one.reason && ` (${wordsFor("upload", "arrived", one.reason)})`}
    </small>
  ));
}
