/** Findings by the names that the installed packages give them, and how far each was tested. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import type { TFunction } from "i18next";
import { ask } from "../api.ts";
import type { Finding, FindingName } from "../shapes.ts";
import { currentLanguage } from "./language.ts";

const namesOptions = queryOptions({
  queryKey: ["worklist", "names"],
  queryFn: () => ask<FindingName[]>("/api/worklist/names"),
  staleTime: Infinity,
});

/** Returns a function from a finding to its name in the page's language; its code where no package knows it. */
export function useFindingNames(): (finding: Pick<Finding, "package" | "finding">) => string {
  const { data } = useQuery(namesOptions);
  const names = new Map((data ?? []).map((name) => [`${name.package} ${name.finding}`, name]));
  return (finding) => names.get(`${finding.package} ${finding.finding}`)?.[currentLanguage()] ?? finding.finding;
}

/** How far the output was tested, in words that need no statistics. */
export function evidenceWords(t: TFunction, finding: Finding): string {
  const evidence = finding.evidence;
  if (!evidence) return t("common:findings.untested");
  const pairs = { n: percent(evidence.auroc), low: percent(evidence.low), high: percent(evidence.high) };
  const tested = t("common:findings.tested", { ...pairs, films: evidence.films });
  return evidence.low > 0.5 ? tested : `${tested} · ${t("common:findings.chance")}`;
}

/** The AUROC is the share of such pairs that the model puts in the right order. */
function percent(auroc: number): number {
  return Math.round(auroc * 100);
}

/** Of each finding the image in which it is most probable; the answer lists the most probable first. */
export function strongest(findings: readonly Finding[]): Finding[] {
  const first = new Map<string, Finding>();
  for (const finding of findings) {
    const key = `${finding.package} ${finding.finding}`;
    if (!first.has(key)) first.set(key, finding);
  }
  return [...first.values()];
}
