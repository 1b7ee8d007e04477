/** What the rules make of one image: what comes of it, by which rule, and each rule held against it. */
import { useTranslation } from "react-i18next";
import { wordsFor } from "../app/language.ts";
import type { Priority, RuleTrace, Tried } from "../shapes.ts";

type Effect = Tried["effects"][number];

export function RuleResult({ name, tried, refused }: { name: string; tried: Tried | null; refused: string | null }) {
  const { t } = useTranslation("admin");
  return (
    <article className="rules-result">
      <h3>{name}</h3>
      {refused !== null && <p className="rules-refused">{refused}</p>}
      {tried && (
        <>
          <dl className="rules-effects">
            {tried.effects.map((one) => (
              <EffectLine key={one.effect} one={one} />
            ))}
          </dl>
          {tried.rules.length === 0 && <p className="quiet">{t("rules.none")}</p>}
          {tried.rules.map((trace) => (
            <Trace key={trace.rule} trace={trace} />
          ))}
        </>
      )}
    </article>
  );
}

function EffectLine({ one }: { one: Effect }) {
  const { t } = useTranslation("admin");
  return (
    <div>
      <dt>
        {wordsFor("worklist", "routing", one.effect)} <code>{one.effect}</code>
      </dt>
      <dd>
        <b>{useValueWords()(one)}</b>
        <small className={one.rule ? "rules-by" : "quiet"}>{one.rule ?? t("rules.by_site")}</small>
      </dd>
    </div>
  );
}

function useValueWords(): (one: Effect) => string {
  const { t } = useTranslation("admin");
  return ({ effect, value }) => {
    if (Array.isArray(value)) return value.join(", ") || t("rules.no_package");
    if (effect === "priority") return t(`common:priority.${value as Priority}`);
    if (effect === "reading_policy") return t(value === "blind" ? "worklist:routing.blind" : "worklist:routing.triage");
    return t(effect.startsWith("due_minutes") ? "worklist:routing.minutes" : "worklist:routing.seconds", { n: value });
  };
}

function Trace({ trace }: { trace: RuleTrace }) {
  const { t } = useTranslation("admin");
  const state = (holds: boolean | null) => (holds === null ? "unknown" : holds ? "yes" : "no");
  return (
    <details className={trace.matches ? "rules-trace rules-matches" : "rules-trace"} open={trace.matches}>
      <summary>
        <b>{trace.rule}</b>
        <span>{t(trace.matches ? "rules.matches" : "rules.passes")}</span>
      </summary>
      {trace.conditions.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{t("rules.fact")}</th>
              <th scope="col">{t("rules.expected")}</th>
              <th scope="col">{t("rules.found")}</th>
              <th scope="col">{t("rules.holds")}</th>
            </tr>
          </thead>
          <tbody>
            {trace.conditions.map((one) => (
              <tr key={one.fact}>
                <td>
                  <code>{one.fact}</code>
                </td>
                <td>{one.expected}</td>
                <td>{one.found.join(" | ") || "–"}</td>
                <td className={`rules-${state(one.holds)}`}>{t(`rules.holds.${state(one.holds)}` as "rules.holds.yes")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {trace.conditions.length === 0 && <p className="quiet">{t("rules.always")}</p>}
      {trace.too_late_for.length > 0 && <p className="quiet">{t("rules.too_late", { what: trace.too_late_for.join(", ") })}</p>}
    </details>
  );
}
