// Makes elements. Text goes in as text nodes only: nothing that a sender wrote is ever read as markup.
import { has, say } from "./words.js";

/** element("td", "quiet", "text", child, ...) */
export function element(tag, classes, ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function reasonWords(code) {
  const key = `reason.${code}`;
  return has(key) ? say(key) : say("reason.other", { code });
}

export function flagWords(flag) {
  const key = `flag.${flag.split(":")[0]}`;
  return has(key) ? say(key) : flag;
}

export function stateChip(state) {
  return element("span", `chip state-${state}`, say(`state.${state}`));
}

/** A bar with the probability and, where known, the operating point as a tick; an uncalibrated score has no percent. */
export function probabilityBar(finding) {
  const percent = Math.round(finding.probability * 100);
  const fill = element("span", "fill");
  fill.style.width = `${percent}%`;
  const bar = element("span", "track", fill);
  if (finding.threshold !== null) {
    const tick = element("span", "tick");
    tick.style.left = `${Math.round(finding.threshold * 100)}%`;
    tick.title = say("findings.threshold", { n: finding.threshold.toFixed(2) });
    bar.append(tick);
  }
  bar.setAttribute("aria-hidden", "true");
  const number = finding.calibrated ? `${percent}%` : finding.probability.toFixed(2);
  return element("span", "probability", bar, element("span", "number", number));
}

/** PN groups: the ideographic one for Korean readers where there is one, else the first (PS3.5 6.2.1). */
export function personName(text, language) {
  if (!text) return say("unknown");
  const groups = text.split("=").map((group) => group.split("^").filter(Boolean).join(" "));
  return (language === "ko" && groups[1]) || groups.find(Boolean) || say("unknown");
}

export function dateWords(date) {
  return /^\d{8}$/.test(date ?? "") ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : (date ?? "");
}

export function sexAge(item) {
  const sex = item.patient_sex && has(`sex.${item.patient_sex}`) ? say(`sex.${item.patient_sex}`) : say("unknown");
  return `${sex} · ${ageWords(item.age_years)}`;
}

function ageWords(years) {
  if (years === null) return say("unknown");
  if (years < 2) return say("age.months", { n: Math.floor(years * 12) });
  return say("age.years", { n: Math.floor(years) });
}
