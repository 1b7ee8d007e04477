// One row of the worklist. Unknown is never shown as normal.
import { dateWords, element, flagWords, personName, probabilityBar, reasonWords, sexAge, stateChip } from "./elements.js";
import { evidenceWords } from "./findings.js";
import { findingName } from "./names.js";
import { currentLanguage, say } from "./words.js";

const MOST_FINDINGS = 3;

export function fillRow(row, item, open) {
  row.className = `priority-${item.priority} is-${item.state}`;
  const name = element("button", "name", personName(item.patient_name, currentLanguage()));
  name.type = "button";
  row.onclick = open;
  row.replaceChildren(
    element("td", "", priorityChip(item)),
    element("td", "due", due(item)),
    element("td", "", stateChip(item.state), item.revision > 1 ? note(say("revision", { n: item.revision })) : null),
    element("td", "patient", name, note(item.patient_id ?? "")),
    element("td", "nowrap", sexAge(item)),
    element(
      "td",
      "nowrap",
      element("span", "modality", item.modalities.join(" ") || "–"),
      ` ${dateWords(item.study_date)}`,
      note(say("images", { n: item.instance_count })),
    ),
    element("td", "findings", ...findings(item), ...item.flags.map(flag)),
    element("td", "quiet nowrap", item.site),
    element("td", "quiet nowrap", since(item.first_image_at)),
  );
}

function note(text) {
  return element("small", "quiet", text);
}

function flag(text) {
  return element("small", "flag", flagWords(text));
}

function priorityChip(item) {
  const chip = element("span", `chip priority ${item.priority}`, say(`priority.${item.priority}`));
  const raised = item.ai_priority !== null && item.ai_priority < item.center_priority;
  const parts = [chip];
  if (raised) parts.push(element("small", "raised", say("priority.by_ai")));
  if (item.waited_too_long) parts.push(element("small", "waited", say("priority.waited")));
  return element("div", "stack", ...parts);
}

function findings(item) {
  const parts = [];
  if (item.state === "unscored") {
    parts.push(element("span", "unscored", item.reason ? reasonWords(item.reason) : say("reason.other", { code: "?" })));
  }
  const isEarlier = item.findings_revision !== null && item.findings_revision < item.revision;
  if (item.findings.length) {
    if (isEarlier) parts.push(note(say("findings.earlier", { n: item.findings_revision })));
    const lines = strongest(item.findings);
    parts.push(...lines.slice(0, MOST_FINDINGS).map(findingLine));
    if (lines.length > MOST_FINDINGS) parts.push(note(`+${lines.length - MOST_FINDINGS}`));
  } else if (item.state === "scored") {
    parts.push(noFinding(item));
  } else if (item.state === "settled" || item.state === "arriving") {
    parts.push(element("span", "quiet", say("findings.pending")));
  }
  if (item.failure) parts.push(incomplete(item));
  return parts;
}

/** Of each finding the image in which it is most probable; the answer lists the most probable first. */
function strongest(findings) {
  const first = new Map();
  for (const finding of findings) {
    const key = `${finding.package} ${finding.finding}`;
    if (!first.has(key)) first.set(key, finding);
  }
  return [...first.values()];
}

/** Neutral on purpose: a model that flagged nothing has not said that the patient is well. */
export function noFinding(item) {
  if (!item.evaluated) return element("span", "unscored", say("findings.not_evaluated"));
  const text = element("span", "neutral", say("findings.none_flagged"));
  text.title = say("findings.none_hint");
  return text;
}

/** What failed may hold what the rest does not show. */
export function incomplete(item) {
  return element("span", "unscored", say("findings.incomplete", { why: reasonWords(item.failure) }));
}

function findingLine(finding) {
  const line = element("span", finding.experimental ? "finding experimental" : "finding");
  line.append(element("span", "label", findingName(finding)), probabilityBar(finding));
  if (finding.experimental) {
    line.append(element("span", "chip thin", say("findings.experimental")));
    line.title = finding.evidence ? `${evidenceWords(finding)}. ${say("findings.tested_note")}` : evidenceWords(finding);
  }
  return line;
}

function due(item) {
  const time = element("time", "countdown");
  time.dataset.dueAt = item.due_at;
  return time;
}

function since(at) {
  const time = element("time", "since");
  time.dataset.since = at;
  return time;
}

export function refreshTimes(place, nowS) {
  for (const time of place.querySelectorAll("time[data-due-at]")) {
    const leftS = Number(time.dataset.dueAt) - nowS;
    time.textContent = say(leftS >= 0 ? "due.left" : "due.over", { time: span(Math.abs(leftS)) });
    time.classList.toggle("over", leftS < 0);
    time.classList.toggle("soon", leftS >= 0 && leftS < 3600);
  }
  for (const time of place.querySelectorAll("time[data-since]")) {
    const agoS = nowS - Number(time.dataset.since);
    time.textContent = agoS < 60 ? say("time.now") : say("time.ago", { time: span(agoS) });
  }
}

function span(seconds) {
  if (seconds < 3600) return say("time.minutes", { n: Math.floor(seconds / 60) });
  if (seconds < 172800) {
    const minutes = Math.floor((seconds % 3600) / 60);
    const hours = say("time.hours", { n: Math.floor(seconds / 3600) });
    return minutes && seconds < 36000 ? `${hours} ${say("time.minutes", { n: minutes })}` : hours;
  }
  return say("time.days", { n: Math.floor(seconds / 86400) });
}
