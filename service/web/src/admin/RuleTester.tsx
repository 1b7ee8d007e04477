/** Tries the rules that hold on images: which match and why. The service reads their headers and keeps nothing. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type DragEvent, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask, askWith } from "../api.ts";
import { refusalWords } from "../app/refusals.ts";
import type { Priority, RuleTrace, Tried } from "../shapes.ts";

const MOST_FILES = 20;
const PRIORITIES: Priority[] = ["routine", "urgent", "stat"];

interface Result {
  name: string;
  tried: Tried | null;
  refused: string | null;
}

export function RuleTester({ isChanged }: { isChanged: boolean }) {
  const { t } = useTranslation("admin");
  const { data } = useQuery({ queryKey: ["sites"], queryFn: () => ask<{ sites: { code: string; name: string }[] }>("/api/sites") });
  const [chosen, setChosen] = useState({ site: "", sender: "", requested_priority: "routine" });
  const [results, setResults] = useState<Result[]>([]);
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const sites = data?.sites ?? [];
  const site = chosen.site || sites[0]?.code || "";
  const take = async (files: readonly File[]) => {
    if (!site) return;
    setResults([]);
    for (const file of files.slice(0, MOST_FILES)) {
      const result = await tryOn(file, { ...chosen, site });
      setResults((before) => [...before, result]);
    }
  };
  const hover = (event: DragEvent, isOver: boolean) => {
    event.preventDefault();
    setOver(isOver);
  };
  const drop = (event: DragEvent) => {
    hover(event, false);
    void take([...event.dataTransfer.files]);
  };
  return (
    <section className="rules-tester" aria-labelledby="rules-tester">
      <h2 id="rules-tester">{t("rules.try")}</h2>
      <p className="quiet">{t("rules.try_how")}</p>
      {isChanged && <p className="rules-unsaved">{t("rules.try_saved")}</p>}
      <div className="admin-bar">
        <NativeSelect
          size="xs" aria-label={t("worklist:by.site")} value={site} data={sites.map((one) => ({ value: one.code, label: one.name }))}
          onChange={(event) => setChosen({ ...chosen, site: event.currentTarget.value })}
        />
        <TextInput size="xs" aria-label={t("rules.sender")} placeholder={t("rules.sender")} value={chosen.sender} onChange={(event) => setChosen({ ...chosen, sender: event.currentTarget.value })} />
        <NativeSelect
          size="xs" aria-label={t("common:action.priority")} value={chosen.requested_priority}
          data={PRIORITIES.map((one) => ({ value: one, label: t(`common:priority.${one}`) }))}
          onChange={(event) => setChosen({ ...chosen, requested_priority: event.currentTarget.value })}
        />
      </div>
      <div className={over ? "rules-drop over" : "rules-drop"} onDragOver={(event) => hover(event, true)} onDragLeave={(event) => hover(event, false)} onDrop={drop}>
        <p>{t("rules.drop")}</p>
        <Button size="xs" variant="default" onClick={() => input.current?.click()} disabled={!site}>
          {t("rules.pick")}
        </Button>
        <input
          ref={input} id="rules-files" type="file" multiple hidden disabled={!site} aria-label={t("rules.pick")}
          onChange={(event) => {
            const files = [...(event.currentTarget.files ?? [])];
            event.currentTarget.value = ""; // the same file may be picked again
            void take(files);
          }}
        />
      </div>
      <div role="status">
        {results.map((result, place) => (
          <TriedOn key={place} result={result} />
        ))}
      </div>
    </section>
  );
}

async function tryOn(file: File, query: Record<string, string>): Promise<Result> {
  try {
    return { name: file.name, tried: await askWith<Tried>("/api/rules/test", file, query), refused: null };
  } catch (error) {
    return { name: file.name, tried: null, refused: refusalWords(error) };
  }
}

function TriedOn({ result: { name, tried, refused } }: { result: Result }) {
  const { t } = useTranslation("admin");
  return (
    <article className="rules-result">
      <h3>{name}</h3>
      {refused !== null && <p className="rules-refused">{refused}</p>}
      {tried && (
        <>
          <dl className="rules-effects">
            {tried.effects.map((one) => (
              <div key={one.effect}>
                <dt>
                  <code>{one.effect}</code>
                </dt>
                <dd>
                  <b>{Array.isArray(one.value) ? one.value.join(", ") || t("rules.no_package") : String(one.value)}</b>
                  <small className="quiet">{one.rule ?? t("rules.by_site")}</small>
                </dd>
              </div>
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
