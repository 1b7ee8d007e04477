/** A bar with the probability and the operating point as a tick; an uncalibrated score has no percent sign. */
import { useTranslation } from "react-i18next";
import type { Finding } from "../shapes.ts";
import "./probability.css";

export function Probability({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  if (finding.probability === null) return <span className="quiet">–</span>;
  const share = Math.round(finding.probability * 100);
  return (
    <span className={`probability${finding.experimental ? " experimental" : ""}`}>
      <span className="probability-track" aria-hidden="true">
        <span className="probability-fill" style={{ width: `${share}%` }} />
        {finding.threshold !== null && (
          <span
            className="probability-tick"
            style={{ left: `${Math.round(finding.threshold * 100)}%` }}
            title={t("findings.threshold", { n: finding.threshold.toFixed(2) })}
          />
        )}
      </span>
      <span className="numbers">{finding.calibrated ? `${share}%` : finding.probability.toFixed(2)}</span>
    </span>
  );
}
