/** What the service answers, by the names of its own schemas. */
import type { components } from "./service.d.ts";

type Schemas = components["schemas"];

export type Item = Schemas["Item"];
export type ItemDetail = Schemas["ItemDetail"];
export type ItemPage = Schemas["ItemPage"];
export type Finding = Schemas["FindingAnswer"];
export type FindingName = Schemas["FindingName"];
export type Run = Schemas["RunAnswer"];
export type Priority = Item["priority"];
export type StudyState = Item["state"];

export type Report = Schemas["ReportAnswer"];
export type Composed = Schemas["Composed"];
export type AuditEvent = Schemas["Event"];
export type AuditPage = Schemas["EventPage"];
export type CenterStudy = Schemas["CenterStudy"];
export type CenterPage = Schemas["CenterPage"];
export type RuleBook = Schemas["RulesAnswer"];
export type RuleRevision = Schemas["RuleRevisionAnswer"];
export type Checked = Schemas["CheckAnswer"];
export type Fault = Schemas["FaultAnswer"];
export type Tried = Schemas["TriedAnswer"];
export type DraftTried = Schemas["DraftTried"];
export type ImageFacts = Schemas["ImageFacts"];
export type RuleTrace = Schemas["TraceAnswer"];
export type Decision = Schemas["DecisionAnswer"];
export type Account = Schemas["AccountAnswer"];
