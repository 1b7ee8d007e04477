/** The words of the trade in four languages, as the service gives them: findings, sides, degrees, templates, macros. */

import { useQuery } from "@tanstack/react-query";
import { ask } from "../api.ts";
import { currentLanguage } from "../app/language.ts";
import type { Macro } from "./report.ts";
import type { Names } from "./types.ts";

export interface Named {
  code: string;
  names: Names;
}

export interface FindingEntry extends Named {
  region: string;
  sides: string[];
  /** Whether zones, a size, a number can be said of it. */
  zones: boolean;
  size: boolean;
  count: boolean;
  /** Which list of severities it has; null: none. */
  severity: string | null;
  /** A report can name it; others are words of a model. */
  reportable: boolean;
}

export interface Template extends Named {
  modalities: string[];
}

export interface Catalogue {
  findings: FindingEntry[];
  sides: Named[];
  zones: Named[];
  severities: Record<string, Named[]>;
  certainties: Named[];
  changes: Named[];
  quality_reasons: Named[];
  techniques: Named[];
  recommendations: Named[];
  departments: Named[];
  critical_categories: Named[];
  templates: Template[];
  macros: (Named & Macro)[];
}

/** Returns the catalogue once it has arrived; it does not change while the page is open. */
export function useCatalogue(): Catalogue | undefined {
  const { data } = useQuery({
    queryKey: ["catalogue"],
    queryFn: () => ask<Catalogue>("/api/findings"),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  });
  return data;
}

/** Returns the name of a code in the page's language; an unknown code stands for itself. */
export function nameIn(list: readonly Named[] | undefined, code: string): string {
  const names = list?.find((one) => one.code === code)?.names;
  return names?.[currentLanguage()] ?? code;
}

/** Returns an entry by its code. */
export function entryOf(catalogue: Catalogue | undefined, code: string | null): FindingEntry | undefined {
  return catalogue?.findings.find((one) => one.code === code);
}

/** Returns the degrees that a finding can have. */
export function severitiesOf(catalogue: Catalogue | undefined, code: string | null): Named[] {
  const kind = entryOf(catalogue, code)?.severity;
  return (kind && catalogue?.severities[kind]) || [];
}

/** Returns what a report can name, by its name in the page's language. */
export function reportable(catalogue: Catalogue): FindingEntry[] {
  const language = currentLanguage();
  const named = catalogue.findings.filter((one) => one.reportable);
  return named.sort((a, b) => a.names[language].localeCompare(b.names[language], language));
}
