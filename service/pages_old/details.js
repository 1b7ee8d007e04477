// One study: what is known, what is not and why, and which model said it.
import { ask } from "./ask.js";
import { dateWords, element, flagWords, personName, reasonWords, sexAge, stateChip } from "./elements.js";
import { findingTables } from "./findings.js";
import { incomplete, noFinding } from "./rows.js";
import { currentLanguage, has, say } from "./words.js";

const panel = document.getElementById("details");
const open = { id: null, text: null, callbacks: null };

export async function openDetails(publicId, callbacks) {
  Object.assign(open, { id: publicId, text: null, callbacks });
  const item = await ask(`/api/worklist/${publicId}`);
  if (open.id !== publicId) return;
  show(item);
  panel.querySelector("button.close").focus();
}

export async function refreshDetails(publicId) {
  const item = await ask(`/api/worklist/${publicId}`, { background: true });
  if (open.id === publicId) show(item);
}

export function closeDetails() {
  open.id = null;
  panel.hidden = true;
  panel.replaceChildren();
}

function show(item) {
  const text = currentLanguage() + JSON.stringify({ ...item, waited_too_long: null });
  if (open.text === text) return;
  open.text = text;
  panel.hidden = false;
  panel.replaceChildren(head(item), facts(item), ...verdict(item), actions(item), ...runs(item));
}

function head(item) {
  const close = element("button", "plain close", say("detail.close"));
  close.type = "button";
  close.addEventListener("click", () => open.callbacks.closed());
  const title = element("h2", "", personName(item.patient_name, currentLanguage()));
  title.id = "details-title";
  return element("div", "details-head", element("div", "", title, element("p", "quiet", sexAge(item))), close);
}

function facts(item) {
  const list = element("dl", "facts");
  const add = (key, value) => {
    if (value) list.append(element("dt", "", say(key)), element("dd", "", value));
  };
  add("detail.patient_id", item.patient_id);
  add("detail.accession", item.accession_number);
  add("detail.study_date", dateWords(item.study_date));
  add("detail.modality", item.modalities.join(" "));
  add("detail.description", item.study_description);
  add("detail.instances", String(item.instance_count));
  add("detail.received", moment(item.first_image_at));
  add("detail.settled", moment(item.settled_at));
  add("detail.scored", moment(item.scored_at));
  add("detail.flags", item.flags.map(flagWords).join(", "));
  return list;
}

function moment(at) {
  if (at === null) return "";
  return new Date(at * 1000).toLocaleString(currentLanguage(), { dateStyle: "medium", timeStyle: "medium" });
}

function verdict(item) {
  const parts = [element("p", "", stateChip(item.state))];
  if (item.state === "unscored") {
    parts.push(
      element(
        "div",
        "because",
        element("b", "", item.reason ? reasonWords(item.reason) : "?"),
        element("p", "", say("unscored.read")),
      ),
    );
  } else if (item.state === "scored" && !item.findings.length) {
    parts.push(element("p", "", noFinding(item), element("small", "quiet", say("findings.none_hint"))));
  }
  if (item.failure) parts.push(element("p", "", incomplete(item)));
  return parts;
}

function actions(item) {
  const bar = element("div", "actions");
  const status = element("span", "quiet");
  status.setAttribute("role", "status");
  const act = async (path, body) => {
    try {
      await ask(`/api/worklist/${item.public_id}/${path}`, { method: "POST", body });
      status.textContent = say("action.done");
      open.callbacks.changed();
    } catch {
      status.textContent = say("action.failed");
    }
  };
  const select = element("select");
  ["stat", "urgent", "routine"].forEach((word, place) => {
    const option = element("option", "", say(`priority.${word}`));
    option.value = word;
    option.selected = item.center_priority === place + 1;
    select.append(option);
  });
  select.addEventListener("change", () => act("priority", { priority: select.value }));
  bar.append(element("label", "", `${say("action.priority")} `, select));
  bar.append(twice("action.restart", () => act("restart")));
  if (item.state === "settled") bar.append(twice("action.cancel", () => act("cancel")));
  bar.append(status);
  return bar;
}

/** A button that acts on its second press. */
function twice(key, act) {
  const button = element("button", "", say(key));
  button.type = "button";
  button.addEventListener("click", () => {
    if (button.dataset.armed) {
      delete button.dataset.armed;
      button.textContent = say(key);
      act();
    } else {
      button.dataset.armed = "1";
      button.textContent = say("action.confirm");
    }
  });
  return button;
}

function runs(item) {
  const parts = [element("h3", "", say("detail.runs"))];
  if (!item.runs.length) parts.push(element("p", "quiet", say("detail.no_runs")));
  else parts.push(element("p", "quiet", say("detail.not_for_diagnosis")));
  const newestFirst = [...item.runs].sort((a, b) => b.revision - a.revision);
  return [...parts, ...newestFirst.map((run) => runCard(run, item))];
}

function runCard(run, item) {
  const card = element("section", `run outcome-${run.outcome}`);
  const title = run.package ? `${run.package} ${run.package_version}` : reasonWords(run.reason ?? "no_release");
  const image = run.instance_number === null ? "" : ` · #${run.instance_number}`;
  card.append(
    element("h4", "", title, element("span", "chip thin", say(`outcome.${run.outcome}`))),
    element("p", "quiet", `${say("revision", { n: run.revision })} / ${item.revision}${image}`),
  );
  if (run.outcome !== "done" && run.reason) card.append(element("p", "because", reasonWords(run.reason)));
  card.append(...findingTables(run.findings));
  const warnings = run.notes.filter((note) => has(`flag.${note}`));
  if (warnings.length) card.append(element("p", "flag", warnings.map(flagWords).join(", ")));
  for (const result of run.results) card.append(resultPart(result));
  card.append(provenance(run));
  return card;
}

function resultPart(result) {
  if (!result.rendered_url) {
    const link = element("a", "", say("detail.report"));
    link.href = result.url;
    return element("p", "", link);
  }
  const image = element("img", "overlay");
  image.alt = say("detail.overlay");
  image.loading = "lazy";
  const figure = element("figure", "", image, element("figcaption", "quiet", say("detail.overlay")));
  image.addEventListener("error", () => figure.remove());
  image.src = result.rendered_url;
  return figure;
}

function provenance(run) {
  const parts = [
    run.provider ? `${say("detail.provider")} ${run.provider}` : null,
    run.view ? `${say("detail.view")} ${run.view}` : null,
    run.recipe,
    run.package_sha256 ? run.package_sha256.slice(0, 16) : null,
    ...run.notes.filter((note) => !has(`flag.${note}`)), // how the pixels were read: no warning to a reader
  ];
  return element("p", "provenance quiet", parts.filter(Boolean).join(" · "));
}
