/** What each model said of each image, for those who may know it: validated findings first, experiments apart. */
import { useTranslation } from "react-i18next";
import { evidenceWords, useFindingNames } from "../app/findings.ts";
import { wordsFor } from "../app/language.ts";
import { Probability } from "../app/Probability.tsx";
import type { Finding, ItemDetail, Run } from "../shapes.ts";

export function Runs({ item }: { item: ItemDetail }) {
  const { t } = useTranslation();
  const newestFirst = [...item.runs].sort((a, b) => b.revision - a.revision);
  return (
    <section>
      <h3>{t("detail.runs")}</h3>
      <p className="quiet">{t("detail.not_for_diagnosis")}</p>
      {newestFirst.map((run, place) => (
        <RunCard key={place} run={run} revision={item.revision} />
      ))}
    </section>
  );
}

function RunCard({ run, revision }: { run: Run; revision: number }) {
  const { t } = useTranslation();
  const warnings = run.notes.filter((note) => note.startsWith("partial") || note === "lossy" || note === "unknown_age_as_adult");
  const provenance = [
    run.provider && `${t("detail.provider")} ${run.provider}`,
    run.view && `${t("detail.view")} ${run.view}`,
    run.recipe,
    run.package_sha256?.slice(0, 16),
  ];
  return (
    <section className={`run run-${run.outcome}`}>
      <h4>
        {run.package ? `${run.package} ${run.package_version}` : wordsFor("common", "reason", run.reason ?? "no_release")}
        <span className="quiet">{t(`outcome.${run.outcome}`)}</span>
      </h4>
      <p className="quiet">
        {t("revision", { n: run.revision })} / {revision}
        {run.instance_number !== null && ` · #${run.instance_number}`}
      </p>
      {run.outcome !== "done" && run.reason && <p className="because">{wordsFor("common", "reason", run.reason)}</p>}
      {run.routing.map((one) => (
        <p key={one.effect} className="quiet">
          {t("worklist:routing.by", { rule: one.rule })} <small>{t("worklist:routing.revision", { n: one.revision })}</small>
        </p>
      ))}
      <FindingTables findings={run.findings} />
      {warnings.length > 0 && <p className="flag">{warnings.map((note) => wordsFor("common", "flag", note)).join(", ")}</p>}
      {run.results.map((result) => (
        <Result key={result.url} url={result.url} renderedUrl={result.rendered_url} />
      ))}
      <p className="provenance quiet">{provenance.filter(Boolean).join(" · ")}</p>
    </section>
  );
}

function Result({ url, renderedUrl }: { url: string; renderedUrl: string | null }) {
  const { t } = useTranslation();
  if (!renderedUrl) {
    return (
      <p>
        <a href={url}>{t("detail.report")}</a>
      </p>
    );
  }
  return (
    <figure>
      <img src={renderedUrl} alt={t("detail.overlay")} loading="lazy" onError={(event) => event.currentTarget.parentElement?.remove()} />
      <figcaption className="quiet">{t("detail.overlay")}</figcaption>
    </figure>
  );
}

function FindingTables({ findings }: { findings: readonly Finding[] }) {
  const { t } = useTranslation();
  const validated = findings.filter((one) => !one.experimental);
  const experimental = findings.filter((one) => one.experimental);
  const present = experimental.filter((one) => one.presence === "present");
  const others = experimental.filter((one) => one.presence !== "present");
  return (
    <>
      {validated.length > 0 && <Table findings={validated} />}
      {experimental.length > 0 && (
        <details className="experiments" open={present.length > 0}>
          <summary>
            <b>{t("findings.experimental_head")}</b> {t("findings.experimental_count", { n: present.length, all: experimental.length })}
          </summary>
          <p className="quiet">{t("findings.experimental_note")}</p>
          <Table findings={[...present, ...others]} />
        </details>
      )}
      {findings.some((one) => one.evidence) && <p className="tested quiet">{t("findings.tested_note")}</p>}
    </>
  );
}

function Table({ findings }: { findings: readonly Finding[] }) {
  return (
    <table className="findings">
      <tbody>
        {findings.map((finding) => (
          <Lines key={finding.finding} finding={finding} />
        ))}
      </tbody>
    </table>
  );
}

/** One finding: what the model says of it, and below how far that was tested. */
function Lines({ finding }: { finding: Finding }) {
  const { t } = useTranslation();
  const nameOf = useFindingNames();
  const kind = finding.experimental ? "experimental" : "";
  return (
    <>
      <tr className={kind}>
        <th scope="row">{nameOf(finding)}</th>
        <td className={`presence-${finding.presence}`}>
          {t(`presence.${finding.presence}`)}
          {finding.raises_priority && <small className="priority-urgent">{t("findings.raises")}</small>}
        </td>
        <td>
          {finding.probability !== null && <Probability finding={finding} />}
          {finding.probability === null && finding.reason && <small>{wordsFor("common", "reason", finding.reason)}</small>}
          {!finding.calibrated && finding.probability !== null && <small className="quiet">{t("findings.uncalibrated")}</small>}
        </td>
      </tr>
      {(finding.evidence || finding.experimental) && (
        <tr className={kind}>
          <td colSpan={3} className="tested quiet">
            {evidenceWords(t, finding)}
          </td>
        </tr>
      )}
    </>
  );
}
