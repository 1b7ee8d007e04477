/** The report being written, as pure steps. What it may hold is the service's word; this only edits it. */

import type { Language, Quality, Verdict } from "./types.ts";

export interface ReportFinding {
  code: string;
  presence: "present" | "absent" | "uncertain";
  certainty: number | null;
  side: string | null;
  zones: string[];
  size_mm: number | null;
  count: number | null;
  severity: string | null;
  change: string | null;
  text: string;
  finding_id: number | null;
}

export interface Comparison {
  kind: "none" | "prior";
  /** The public id of the prior. */
  study: string | null;
  date: string | null;
}

/** What a macro fills in: coded parts, so that every language gets them. */
export interface Macro {
  findings: Partial<ReportFinding>[];
  recommendations: string[];
}

export interface Content {
  template: string | null;
  technique: { code: string | null; text: string };
  comparison: Comparison | null;
  findings: ReportFinding[];
  findings_text: string;
  impression_text: string;
  recommendations: string[];
  recommendation_text: string;
  departments: string[];
  critical_category: 1 | 2 | 3 | null;
  quality: Quality | null;
  language: Language;
}

/** What should be done next, and how soon. */
export type Follow = Pick<Content, "recommendations" | "departments" | "critical_category">;

export interface ReportState {
  content: Content | null;
  /** The reader has written something that a fresh suggestion must not overwrite. */
  isEdited: boolean;
  /** What the service suggested last: what came from it and what the reader coded are told apart by it. */
  suggested: readonly ReportFinding[];
  /** What the service holds of the draft, as text; null: nothing yet. */
  saved: string | null;
}

export type ReportStep =
  | { kind: "opened"; draft: Content | null; suggestion: Content }
  | { kind: "suggested"; suggestion: Content }
  | { kind: "saved"; content: Content }
  | { kind: "write"; field: TextField; text: string }
  | { kind: "template"; code: string | null }
  | { kind: "technique"; change: Partial<Content["technique"]> }
  | { kind: "quality"; quality: Quality }
  | { kind: "restored"; content: Content }
  | { kind: "macro"; macro: Macro }
  | { kind: "finding"; index: number; change: Partial<ReportFinding> }
  | { kind: "add"; finding: ReportFinding }
  | { kind: "drop"; index: number }
  | { kind: "recommendations"; codes: string[] }
  | { kind: "departments"; codes: string[] }
  | { kind: "follow"; follow: Follow }
  | { kind: "critical"; category: Content["critical_category"] }
  | { kind: "compare"; study: string | null; date: string | null };

export type TextField = "findings_text" | "impression_text" | "recommendation_text";

export const NO_REPORT: ReportState = { content: null, isEdited: false, suggested: [], saved: null };

/** Returns a finding that nothing is said of yet but that it is there. */
export function newFinding(code: string, verdict?: Pick<Verdict, "side" | "severity">): ReportFinding {
  return {
    code,
    presence: "present",
    certainty: null,
    side: verdict?.side ?? null,
    zones: [],
    size_mm: null,
    count: null,
    severity: verdict?.severity ?? null,
    change: null,
    text: "",
    finding_id: null,
  };
}

/** Returns the state after one step. */
export function reportStep(state: ReportState, step: ReportStep): ReportState {
  switch (step.kind) {
    case "opened":
      return {
        content: step.draft ?? step.suggestion,
        isEdited: step.draft !== null,
        suggested: step.suggestion.findings,
        saved: step.draft && JSON.stringify(step.draft),
      };
    case "suggested":
      return {
        ...(state.isEdited ? withVerdicts(state, step.suggestion) : { ...state, content: step.suggestion }),
        suggested: step.suggestion.findings,
      };
    case "saved":
      return { ...state, saved: JSON.stringify(step.content) };
    default:
      return state.content === null ? state : { ...state, content: edited(state.content, step), isEdited: true };
  }
}

/** The draft differs from what the service holds, and the reader made it so. */
export function isUnsaved(state: ReportState): boolean {
  return state.content !== null && state.isEdited && JSON.stringify(state.content) !== state.saved;
}

type Edit = Exclude<ReportStep, { kind: "opened" | "suggested" | "saved" }>;

function edited(content: Content, step: Edit): Content {
  switch (step.kind) {
    case "write":
      return { ...content, [step.field]: step.text };
    case "template":
      return { ...content, template: step.code };
    case "technique":
      return { ...content, technique: { ...content.technique, ...step.change } };
    case "quality":
      return { ...content, quality: step.quality };
    case "restored":
      return step.content;
    case "macro":
      return withMacro(content, step.macro);
    case "finding":
      return {
        ...content,
        findings: content.findings.map((f, i) => (i === step.index ? { ...f, ...step.change } : f)),
      };
    case "add":
      return { ...content, findings: [...content.findings, step.finding] };
    case "drop":
      return { ...content, findings: content.findings.filter((_, index) => index !== step.index) };
    case "recommendations":
      return { ...content, recommendations: step.codes };
    case "departments":
      return { ...content, departments: step.codes };
    case "follow":
      return { ...content, ...step.follow };
    case "critical":
      return { ...content, critical_category: step.category };
    case "compare":
      return { ...content, comparison: { kind: step.study ? "prior" : "none", study: step.study, date: step.date } };
  }
}

/** Brings later verdicts into an edited draft: only coded findings and quality change, no word of the reader's. */
function withVerdicts(state: ReportState, suggestion: Content): ReportState {
  if (state.content === null) return { ...state, content: suggestion };
  const written = [...state.content.findings];
  const before = [...state.suggested];
  const findings = suggestion.findings.map((finding) => {
    const last = taken(before, finding);
    const mine = taken(written, finding);
    // A presence that the reader chose stays until the verdict itself says something else.
    return mine ? { ...mine, presence: last?.presence === finding.presence ? mine.presence : finding.presence } : finding;
  });
  // What came from a verdict that no longer holds goes; what the reader coded stays.
  for (const gone of before) taken(written, gone);
  const own = written.filter((finding) => finding.finding_id === null);
  return { ...state, content: { ...state.content, findings: [...findings, ...own], quality: suggestion.quality } };
}

/** Takes the finding that is the same one out of a list: by the AI's number where it has one, else by code. */
function taken(list: ReportFinding[], wanted: ReportFinding): ReportFinding | undefined {
  const isSame = (one: ReportFinding) => one.finding_id === wanted.finding_id && one.code === wanted.code;
  const exact = list.findIndex((one) => isSame(one) && one.side === wanted.side);
  const at = exact >= 0 ? exact : list.findIndex(isSame);
  return at >= 0 ? list.splice(at, 1)[0] : undefined;
}

function withMacro(content: Content, macro: Macro): Content {
  const added = macro.findings.map((part) => ({ ...newFinding(part.code ?? ""), ...part }));
  return {
    ...content,
    findings: [...content.findings, ...added],
    recommendations: [...new Set([...content.recommendations, ...macro.recommendations])],
  };
}
