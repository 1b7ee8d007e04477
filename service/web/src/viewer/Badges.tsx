/** The words at the corners of a film: what it is, how it stands, and what to beware of (STANDARDS WL-61). */

import { useTranslation } from "react-i18next";
import type { Look } from "./look.ts";
import { isFrontal, type Stack, viewLabel } from "./hanging.ts";
import { wordsOf } from "./notices.ts";
import { isRadiological } from "./orientation.ts";
import styles from "./viewer.module.css";

interface BadgesProps {
  look: Look;
  stack: Stack;
  caption: string;
  isPrior: boolean;
  isDoubtful: boolean;
}

type Warning = "mirrored" | "turned" | "side_swapped";

export function Badges({ look, stack, caption, isPrior, isDoubtful }: BadgesProps) {
  const { t, i18n } = useTranslation("viewer");
  const instance = stack.frames[look.index]?.instance;
  const figure = new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 0 });
  const percent = new Intl.NumberFormat(i18n.language, { style: "percent", maximumFractionDigits: 0 });
  const tenths = new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 1 });
  const warnings = warningsOf(look, stack);
  return (
    <>
      <div className={`${styles.corner} ${styles.topLeft}`}>
        <strong data-prior={isPrior || undefined}>{caption}</strong>
        <span>{[stack.modality, viewLabel(stack), stack.description].filter(Boolean).join(" · ")}</span>
      </div>
      <ul className={`${styles.corner} ${styles.topRight}`} aria-label={t("badges.title")}>
        {isDoubtful && (
          <li className={styles.warning} data-badge="identity_doubt">
            {t("badges.identity_doubt")}
          </li>
        )}
        {warnings.map((warning) => (
          <li key={warning} className={styles.warning} data-badge={warning}>
            {t(`badges.${warning}`)}
          </li>
        ))}
        {stack.why && <li data-badge="apart">{t(`apart.${stack.why}`)}</li>}
        {stack.notices.map((notice, place) => (
          <li key={place} className={styles.warning} data-badge={`stack_${wordsOf(notice)}`}>
            {t(`stack.${wordsOf(notice)}`, {
              count: notice.count,
              first: notice.first ?? "",
              last: notice.last ?? "",
              degrees: tenths.format(notice.degrees ?? 0),
            })}
          </li>
        ))}
        {instance?.lossy && <li data-badge="lossy">{t("badges.lossy")}</li>}
        {instance?.burned_in && <li data-badge="burned_in">{t("badges.burned_in")}</li>}
        {look.isInverted && <li data-badge="inverted">{t("badges.inverted")}</li>}
        {!stack.isStack && (
          <li data-badge={`side_${look.edges ? "known" : "unknown"}`}>
            {t(look.edges ? "badges.side_known" : "badges.side_unknown")}
          </li>
        )}
      </ul>
      <div className={`${styles.corner} ${styles.bottomLeft}`} data-testid="window">
        <span>
          {t("window", { center: figure.format(look.window.center), width: figure.format(look.window.width) })}
        </span>
        <span data-badge={`spacing_${look.spacing}`}>{t(`spacing.${look.spacing}`)}</span>
      </div>
      <div className={`${styles.corner} ${styles.bottomRight}`}>
        {look.count > 1 && <span data-testid="slice">{`${look.index + 1} / ${look.count}`}</span>}
        <span data-testid="zoom">{percent.format(look.pose.zoom)}</span>
      </div>
      {look.edges && (
        <div className={styles.edges} aria-hidden>
          <i data-edge="left">{look.edges.left}</i>
          <i data-edge="right">{look.edges.right}</i>
          <i data-edge="top">{look.edges.top}</i>
          <i data-edge="bottom">{look.edges.bottom}</i>
        </div>
      )}
    </>
  );
}

function warningsOf(look: Look, stack: Stack): Warning[] {
  const warnings: Warning[] = [];
  if (look.pose.isMirrored) warnings.push("mirrored");
  if (look.pose.quarterTurns !== 0) warnings.push("turned");
  if (isFrontal(stack) && look.edges && warnings.length === 0 && !isRadiological(look.edges))
    warnings.push("side_swapped");
  return warnings;
}
