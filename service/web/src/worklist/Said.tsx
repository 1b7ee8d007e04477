/** What the list may say of the AI: its findings to those who may know them, else only how far it is. */
import { useTranslation } from "react-i18next";
import { evidenceWords, strongest, useFindingNames } from "../app/findings.ts";
import { wordsFor } from "../app/language.ts";
import { Probability } from "../app/Probability.tsx";
import type { Item } from "../shapes.ts";

const MOST_FINDINGS = 2;

export function Said({ item }: { item: Item }) {
  const { t } = useTranslation();
  return (
    <>
      {item.state === "unscored" ? (
        <span className="unscored">
          {t("state.unscored")}
          {item.reason && <small>{wordsFor("common", "reason", item.reason)}</small>}
        </span>
      ) : item.findings === null ? (
        <span className={`state-${item.state}`}>{t(`state.${item.state}`)}</span>
      ) : (
        <Findings item={item} />
      )}
      {item.failure && <small className="unscored">{t("findings.incomplete", { why: wordsFor("common", "reason", item.failure) })}</small>}
      {item.flags.map((flag) => (
        <small key={flag} className="flag">
          {wordsFor("common", "flag", flag.split(":")[0] ?? flag)}
        </small>
      ))}
    </>
  );
}

/** Neutral on purpose: a model that flagged nothing has not said that the patient is well. */
function Findings({ item }: { item: Item }) {
  const { t } = useTranslation();
  const nameOf = useFindingNames();
  const lines = strongest(item.findings ?? []);
  const isEarlier = item.findings_revision !== null && item.findings_revision < item.revision;
  if (item.state !== "scored" && lines.length === 0) return <span className={`state-${item.state}`}>{t(`state.${item.state}`)}</span>;
  if (lines.length === 0) {
    if (!item.evaluated) return <span className="unscored">{t("findings.not_evaluated")}</span>;
    return <span title={t("findings.none_hint")}>{t("findings.none_flagged")}</span>;
  }
  return (
    <>
      {isEarlier && <small>{t("findings.earlier", { n: item.findings_revision })}</small>}
      {lines.slice(0, MOST_FINDINGS).map((finding) => (
        <span
          key={`${finding.package} ${finding.finding}`}
          className={finding.experimental ? "finding experimental" : "finding"}
          title={finding.experimental ? `${t("findings.experimental")}. ${evidenceWords(t, finding)}` : undefined}
        >
          <span className="finding-name">{nameOf(finding)}</span>
          {finding.experimental && <em>{t("findings.experimental")}</em>}
          <Probability finding={finding} />
        </span>
      ))}
      {lines.length > MOST_FINDINGS && <small>+{lines.length - MOST_FINDINGS}</small>}
    </>
  );
}
