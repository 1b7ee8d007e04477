/** The reader's judgements on one case, as pure steps: what is judged, what is left, what one key does. */

import type { AiView, Finding, Impression, Judgement, Quality, StoredImpression, Verdict } from "./types.ts";

export interface Shown {
  finding: Finding;
  /** The SOP instance that the finding was made on. */
  instance: string;
  package: string;
  version: string;
}

export interface VerdictState {
  impression: Impression | null;
  /** The images that the impression is of. */
  revision: number | null;
  shown: readonly Shown[];
  judged: Readonly<Record<number, Judgement>>;
  missed: readonly Verdict[];
  quality: Quality | null;
  /** Which of the shown findings the keys speak to. */
  selected: number;
}

export type Step =
  | {
      kind: "opened";
      ai: AiView | null;
      impression: StoredImpression | null;
      revision: number;
      verdicts: Verdict[];
      quality: Quality | null;
    }
  | { kind: "impression"; impression: Impression; ai: AiView | null; revision: number }
  | { kind: "renewed"; impression: StoredImpression | null; ai: AiView | null; revision: number }
  | { kind: "judge"; judgement: Exclude<Judgement, "missed"> }
  | { kind: "select"; index: number }
  | { kind: "move"; by: number }
  | { kind: "accept" }
  | { kind: "add"; verdict: Verdict }
  | { kind: "drop"; index: number }
  | { kind: "quality"; quality: Quality };

export const UNREAD: VerdictState = {
  impression: null,
  revision: null,
  shown: [],
  judged: {},
  missed: [],
  quality: null,
  selected: 0,
};

/** Returns what the AI says is there, most probable first; tested outputs stand before experimental ones. */
export function shownOf(ai: AiView | null): Shown[] {
  const shown = (ai?.runs ?? []).flatMap((run) =>
    run.shown_findings
      .filter((finding) => finding.presence === "present")
      .map((finding) => ({ finding, instance: run.instance, package: run.package, version: run.version })),
  );
  return shown.sort(
    (a, b) =>
      Number(a.finding.experimental) - Number(b.finding.experimental) ||
      (b.finding.probability ?? 0) - (a.finding.probability ?? 0),
  );
}

/** Returns the findings that still wait for a judgement. */
export function unjudged(state: VerdictState): Shown[] {
  return state.shown.filter(({ finding }) => state.judged[finding.finding_id] === undefined);
}

/** Returns the state after one step. */
export function verdictStep(state: VerdictState, step: Step): VerdictState {
  switch (step.kind) {
    case "opened":
      return opened(step);
    case "impression":
      return {
        ...state, impression: step.impression, revision: step.revision, shown: shownOf(step.ai), selected: 0,
      }; // prettier-ignore
    case "renewed":
      return renewed(state, step);
    case "judge":
      return judged(state, step.judgement);
    case "select":
      return { ...state, selected: step.index };
    case "move":
      return { ...state, selected: inside(state.selected + step.by, state.shown.length) };
    case "accept":
      return accepted(state);
    case "add":
      return { ...state, missed: [...state.missed, step.verdict] };
    case "drop":
      return { ...state, missed: state.missed.filter((_, index) => index !== step.index) };
    case "quality":
      return { ...state, quality: step.quality };
  }
}

function opened(step: Extract<Step, { kind: "opened" }>): VerdictState {
  const onFindings = step.verdicts.filter((verdict) => verdict.finding_id !== null);
  const state: VerdictState = {
    impression: step.impression?.impression ?? null,
    revision: step.impression && step.revision,
    shown: shownOf(step.ai),
    judged: Object.fromEntries(onFindings.map((verdict) => [verdict.finding_id, verdict.judgement])),
    missed: step.verdicts.filter((verdict) => verdict.finding_id === null),
    quality: step.quality,
    selected: 0,
  };
  return { ...state, selected: nextUnjudged(state, 0) };
}

/** What came meanwhile: new images ask for the impression anew, a later AI result joins what is shown. */
function renewed(state: VerdictState, step: Extract<Step, { kind: "renewed" }>): VerdictState {
  const isNew = state.revision !== step.revision;
  const impression = isNew ? (step.impression?.impression ?? null) : state.impression;
  if (impression === null) return { ...state, impression, revision: null };
  const before = state.shown[state.selected]?.finding.finding_id;
  const shown = shownOf(step.ai);
  const at = shown.findIndex(({ finding }) => finding.finding_id === before);
  const after = { ...state, impression, revision: step.revision, shown };
  return { ...after, selected: at >= 0 ? at : nextUnjudged(after, 0) };
}

function judged(state: VerdictState, judgement: Judgement): VerdictState {
  const current = state.shown[state.selected];
  if (!current) return state;
  const after = { ...state, judged: { ...state.judged, [current.finding.finding_id]: judgement } };
  return { ...after, selected: nextUnjudged(after, state.selected) };
}

/** Takes the reader at their word: after "normal" what the AI still claims is rejected, and the film was good enough.
 *
 * After any other impression nothing is decided in bulk: a finding is confirmed by looking at it.
 */
function accepted(state: VerdictState): VerdictState {
  if (state.impression === null) return state;
  const quality = state.quality ?? { grade: "good" as const, reasons: [] };
  if (state.impression !== "normal") return { ...state, quality, selected: nextUnjudged(state, state.selected) };
  const rejected = Object.fromEntries(unjudged(state).map(({ finding }) => [finding.finding_id, "rejected" as const]));
  return { ...state, quality, judged: { ...state.judged, ...rejected } };
}

/** Returns the verdicts as they are stored. */
export function verdictsOf(state: VerdictState): Verdict[] {
  const onFindings = state.shown.flatMap(({ finding, instance }) => {
    const judgement = state.judged[finding.finding_id];
    if (judgement === undefined) return [];
    const place = judgement === "rejected" ? null : finding.place;
    return [{ finding_id: finding.finding_id, code: finding.code, judgement, instance, place }];
  });
  return [...onFindings, ...state.missed];
}

function nextUnjudged(state: VerdictState, from: number): number {
  const count = state.shown.length;
  for (let step = 0; step < count; step += 1) {
    const index = (from + step) % count;
    const shown = state.shown[index];
    if (shown && state.judged[shown.finding.finding_id] === undefined) return index;
  }
  return inside(from, count);
}

function inside(index: number, count: number): number {
  return Math.max(0, Math.min(count - 1, index));
}
