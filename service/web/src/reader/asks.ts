/** What the reading room asks of the service. */

import { ask } from "../api.ts";
import type { Claim } from "../app/claims.ts";
import type { Composed } from "../shapes.ts";
import type { Content } from "./report.ts";
import type { AiView, CaseView, Impression, Language, Place, Quality, Verdict } from "./types.ts";

export interface ReportVersion {
  number: number;
  status: string;
  signed_at: number;
  signer: string;
  reason: string | null;
  language: Language;
  sha256: string;
}

export interface ReportView {
  public_id: string | null;
  draft: Content | null;
  versions: ReportVersion[];
  suggestion: Content;
}

export interface Missing {
  field: string;
  message_code: string;
}

/** Returns what the preview and what the refused signature name, each once. */
export function allMissing(now: readonly Missing[], refusedFor: readonly Missing[]): Missing[] {
  const named = [...now, ...refusedFor].map((one) => [`${one.field}/${one.message_code}`, one] as const);
  return [...new Map(named).values()];
}

/** What the rule tables propose for the findings; the radiologist decides. */
export interface Proposal {
  critical_category: Content["critical_category"];
  recommendations: string[];
  departments: string[];
}

export type Preview = Record<Language, Composed> & { missing: Missing[]; proposed: Proposal };

export interface ReadingEvent {
  kind: "overlay_on" | "overlay_off" | "opened" | "closed";
  at: number;
  detail: Record<string, string | number | boolean>;
}

const caseAt = (id: string) => `/api/cases/${encodeURIComponent(id)}`;
const claimAt = (id: string) => `/api/worklist/${encodeURIComponent(id)}/claim`;

export const asks = {
  case: (id: string) => ask<CaseView>(caseAt(id)),
  /** Asked again by a clock, to see images and AI results that came meanwhile. */
  caseAgain: (id: string) => ask<CaseView>(caseAt(id), { background: true }),
  claim: (id: string) => ask<Claim>(claimAt(id), { method: "POST" }),
  /** Of a page that nobody touches it keeps the claim and not the session. */
  heartbeat: (id: string, claim: number, isTouched: boolean) =>
    ask<Claim>(claimAt(id), { method: "PUT", claim, background: !isTouched }),
  release: (id: string, claim: number) => ask<void>(claimAt(id), { method: "DELETE", claim }),
  impression: (id: string, claim: number, body: ImpressionBody) =>
    ask<{ ai: AiView | null }>(`${caseAt(id)}/impression`, { method: "POST", claim, body }),
  verdicts: (id: string, claim: number, body: VerdictBody) =>
    ask<unknown>(`${caseAt(id)}/verdicts`, { method: "PUT", claim, body }),
  events: (id: string, events: ReadingEvent[]) =>
    ask<unknown>(`${caseAt(id)}/events`, { method: "POST", body: { events }, background: true }),
  report: (id: string) => ask<ReportView>(`${caseAt(id)}/report`),
  draft: (id: string, claim: number, content: Content) =>
    ask<unknown>(`${caseAt(id)}/report/draft`, { method: "PUT", claim, body: { content } }),
  preview: (id: string, content: Content) =>
    ask<Preview>(`${caseAt(id)}/report/preview`, { method: "POST", body: { content } }),
  sign: (id: string, claim: number, body: SignBody) =>
    ask<ReportVersion>(`${caseAt(id)}/report/sign`, { method: "POST", claim, body }),
};

/** Each of the three names the images it was made on: the service refuses it when others came meanwhile. */
export interface ImpressionBody {
  impression: Impression;
  places: Place[];
  seconds: number;
  revision: number;
}

export interface SignBody {
  content: Content;
  status: "preliminary" | "final";
  revision: number;
}

export interface VerdictBody {
  verdicts: Verdict[];
  quality: Quality | null;
  ai_visible: boolean;
  seconds: number;
  revision: number;
}

/** Gives a case back when the page goes away: nothing may wait for the answer then. */
export function releaseClaim(id: string, claim: number): void {
  const headers = { "X-Pandok": "1", "X-Pandok-Claim": String(claim) };
  void fetch(claimAt(id), { method: "DELETE", headers, keepalive: true }).catch(() => undefined);
}
