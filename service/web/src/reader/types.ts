/** What the service tells of a case: the answers of `/api/cases`, as the reader uses them. */

import type { Spacing } from "../viewer/spacing.ts";

export type Impression = "normal" | "abnormal" | "cannot_tell";
export type Judgement = "confirmed" | "rejected" | "uncertain" | "missed";
export type Grade = "good" | "limited" | "insufficient";
export type Language = "ko" | "en" | "vi" | "ru";
export type Names = Record<Language, string>;
export const LANGUAGES: readonly Language[] = ["ko", "en", "vi", "ru"];

export interface CaseInstance {
  sop_instance_uid: string;
  sop_class_uid: string;
  transfer_syntax_uid: string;
  instance_number: number | null;
  frames: number;
  columns: number | null;
  rows: number | null;
  url: string;
  photometric: string | null;
  view: "pa" | "ap" | "frontal" | "lateral" | "other" | "unknown";
  laterality: string | null;
  lossy: boolean;
  spacing: Spacing;
  burned_in: boolean | null;
}

/** Something wrong with a stack of slices: a code of the service, of which the languages have texts. */
export interface StackNotice {
  code: string;
  count: number;
  first: number | null;
  last: number | null;
  degrees: number | null;
}

export interface CaseStack {
  why: "localizer" | "other_kind" | "derived" | "odd" | "copy" | "unplaced" | "not_arranged" | null;
  /** Place of the image in `instances`, and frame from 1; 0: all of them. */
  slices: [number, number][];
  notices: StackNotice[];
}

export interface CaseSeries {
  series_instance_uid: string;
  modality: string | null;
  number: number | null;
  description: string | null;
  body_part: string | null;
  instances: CaseInstance[];
  /** Of CT and MR once the study has settled. */
  stacks?: CaseStack[];
}

export interface Prior {
  public_id: string;
  study_date: string | null;
  days_before: number | null;
  modalities: string[];
  description: string | null;
  same_view: boolean;
  identity_doubt?: boolean;
  report: { public_id: string; status: string } | null;
}

export interface Finding {
  finding_id: number;
  code: string;
  names: Names;
  presence: "present" | "absent" | "undetermined" | "not_evaluated";
  probability: number | null;
  threshold: number | null;
  operating_point: string | null;
  experimental: boolean;
  calibrated: boolean;
  evidence: { auroc: number; low: number; high: number; films: number; positives: number; data: string } | null;
  place: [number, number, number, number] | null;
  heat_map_url: string | null;
}

export interface AiRun {
  run_id: number;
  package: string;
  version: string;
  sha256: string;
  instance: string;
  view: string | null;
  notes: string[];
  shown_findings: Finding[];
}

export interface AiView {
  revision: number;
  runs: AiRun[];
}

export interface Verdict {
  finding_id: number | null;
  code: string;
  judgement: Judgement;
  instance?: string | null;
  place?: number[] | null;
  side?: string | null;
  severity?: string | null;
}

export interface Quality {
  grade: Grade;
  reasons: string[];
}

export interface Place {
  instance: string;
  x: number;
  y: number;
}

export interface StoredImpression {
  impression: Impression;
  places: Place[];
  made_at?: number;
}

export interface CaseItem {
  public_id: string;
  site: { code: string; name: string; time_zone: string; language: string };
  study_date: string | null;
  study_description: string | null;
  accession_number: string | null;
  modalities: string[];
  flags: string[];
  priority: "stat" | "urgent" | "routine";
  due_at: number | null;
  revision: number;
  state: string;
  reason: string | null;
}

export interface CaseView {
  item: CaseItem;
  study_instance_uid: string;
  patient: {
    name: string | null;
    id: string | null;
    sex: string | null;
    age_years: number | null;
    birth_date: string | null;
  };
  question: { question: string; history: string; language: string; by: string | null; made_at: number } | null;
  series: CaseSeries[];
  priors: Prior[];
  reading: {
    policy: "triage" | "blind";
    impression: StoredImpression | null;
    needs_impression: boolean;
    verdicts: Verdict[];
    quality: Quality | null;
    draft_updated_at: number | null;
    claim: { by: string; mine: boolean; expires_at: number } | null;
  };
  unscored: { reason: string; instance: string | null }[];
  ai: AiView | null;
}
