// What a model says of one image: validated findings first, experiments apart, each with how far it was tested.
import { element, probabilityBar, reasonWords } from "./elements.js";
import { findingName } from "./names.js";
import { say } from "./words.js";

export function findingTables(findings) {
  const [validated, experimental] = [findings.filter((one) => !one.experimental), findings.filter((one) => one.experimental)];
  const parts = [];
  if (validated.length) parts.push(table(validated));
  if (experimental.length) parts.push(experiments(experimental));
  if (findings.some((one) => one.evidence)) parts.push(element("p", "tested quiet", say("findings.tested_note")));
  return parts;
}

/** How far the output was tested, in words that need no statistics. */
export function evidenceWords(finding) {
  const evidence = finding.evidence;
  if (!evidence) return say("findings.untested");
  const pairs = { n: inPairs(evidence.auroc), low: inPairs(evidence.low), high: inPairs(evidence.high) };
  const tested = say("findings.tested", { ...pairs, films: evidence.films });
  return evidence.low > 0.5 ? tested : `${tested} · ${say("findings.chance")}`;
}

/** The AUROC is the share of such pairs that the model puts in the right order. */
function inPairs(auroc) {
  return Math.round(auroc * 100);
}

function experiments(findings) {
  const present = findings.filter((one) => one.presence === "present");
  const others = findings.filter((one) => one.presence !== "present");
  const count = say("findings.experimental_count", { n: present.length, all: findings.length });
  const summary = element("summary", "", element("b", "", say("findings.experimental_head")), ` ${count}`);
  const note = element("p", "quiet", say("findings.experimental_note"));
  const fold = element("details", "experiments", summary, note, table([...present, ...others]));
  fold.open = present.length > 0;
  return fold;
}

function table(findings) {
  return element("table", "finding-table", element("tbody", "", ...findings.flatMap(lines)));
}

/** One finding: what the model says of it, and below how far that was tested. */
function lines(finding) {
  const label = element("th", "", findingName(finding));
  label.scope = "row";
  const why = finding.reason ? element("small", "", reasonWords(finding.reason)) : "–";
  const value = element("td", "", finding.probability === null ? why : probabilityBar(finding));
  if (!finding.calibrated && finding.probability !== null) {
    value.append(element("small", "quiet", say("findings.uncalibrated")));
  }
  const presence = element("td", `presence ${finding.presence}`, say(`presence.${finding.presence}`));
  if (finding.raises_priority) presence.append(element("small", "raised", say("findings.raises")));
  const kind = finding.experimental ? "experimental" : "";
  const said = element("tr", kind, label, presence, value);
  if (!finding.evidence && !finding.experimental) return [said];
  const tested = element("td", "tested quiet", evidenceWords(finding));
  tested.colSpan = 3;
  return [said, element("tr", kind, tested)];
}
