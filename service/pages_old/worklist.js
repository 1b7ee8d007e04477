// The worklist: what waits to be read, in reading order, live.
import { closeDetails, openDetails, refreshDetails } from "./details.js";
import { loadWords, offerLanguages, say } from "./words.js";
import { ask } from "./ask.js";
import { loadNames } from "./names.js";
import { fillRow, refreshTimes } from "./rows.js";

const PAGE = 100;
const MOST = 500;
const POLL_MS = 5000;
const READY_MS = 30000;
const STATES = ["arriving", "settled", "scored", "unscored"];

const rows = document.getElementById("rows");
const shown = new Map(); // public_id → {row, text}: a row is only touched when what it says has changed
const view = { state: null, limit: PAGE, selected: null, page: null, clockOffsetS: 0, stream: null };
let loading = null;
let again = false;

function show(page) {
  view.page = page;
  view.clockOffsetS = page.now - Date.now() / 1000;
  const wanted = page.items.map((item) => rowOf(item));
  for (const [id, entry] of shown) {
    if (!wanted.includes(entry.row)) {
      entry.row.remove();
      shown.delete(id);
    }
  }
  wanted.forEach((row, place) => {
    if (rows.children[place] !== row) rows.insertBefore(row, rows.children[place] ?? null);
  });
  document.getElementById("empty").hidden = page.items.length > 0;
  document.getElementById("more").hidden = !page.next_cursor || view.limit >= MOST;
  showFilters(page.counts);
  mark();
  tick();
}

function rowOf(item) {
  const text = JSON.stringify(item);
  const entry = shown.get(item.public_id) ?? { row: document.createElement("tr"), text: null };
  if (entry.text !== text) {
    const hadFocus = entry.row.contains(document.activeElement);
    fillRow(entry.row, item, () => open(item.public_id));
    entry.text = text;
    if (hadFocus) entry.row.querySelector("button").focus();
  }
  shown.set(item.public_id, entry);
  return entry.row;
}

function showFilters(counts) {
  const group = document.getElementById("filters");
  group.setAttribute("aria-label", say("filter.label"));
  if (!group.children.length) {
    for (const state of [null, ...STATES]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.state = state ?? "all";
      button.append(document.createElement("span"), document.createElement("b"));
      button.addEventListener("click", () => {
        view.state = state;
        view.limit = PAGE;
        load();
      });
      group.append(button);
    }
  }
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  for (const button of group.children) {
    const state = button.dataset.state;
    button.firstChild.textContent = say(state === "all" ? "filter.all" : `state.${state}`);
    button.lastChild.textContent = String(state === "all" ? all : (counts[state] ?? 0));
    button.setAttribute("aria-pressed", String((view.state ?? "all") === state));
  }
}

/** Loads the list; calls while one is under way are joined into one more. */
async function load({ background = false } = {}) {
  if (loading) {
    again = true;
    return loading;
  }
  loading = fetchList(background);
  try {
    await loading;
  } finally {
    loading = null;
  }
  if (again) {
    again = false;
    await load({ background });
  }
}

async function fetchList(background) {
  const query = new URLSearchParams({ limit: view.limit });
  if (view.state) query.set("state", view.state);
  try {
    show(await ask(`/api/worklist?${query}`, { background }));
    if (view.selected) await refreshDetails(view.selected);
  } catch {
    live("off");
  }
}

function live(how) {
  const sign = document.getElementById("live");
  sign.dataset.how = how;
  sign.textContent = say(`live.${how}`);
}

function listen() {
  const stream = new EventSource("/api/worklist/events");
  view.stream = stream;
  stream.addEventListener("open", () => live("on"));
  stream.addEventListener("message", () => load({ background: true }));
  stream.addEventListener("error", () => live("polling"));
}

function poll() {
  const stream = view.stream;
  const isLive = stream?.readyState === EventSource.OPEN;
  const arriving = view.page?.items.some((item) => item.state === "arriving");
  if (!isLive) live("polling");
  if (!isLive || arriving) load({ background: true });
  if (stream?.readyState === EventSource.CLOSED) listen();
}

async function checkReady() {
  const alarm = document.getElementById("alarm");
  try {
    const health = await ask("/ready", { background: true, evenIf: [503] });
    const failed = Object.entries(health.checks).filter(([, check]) => !check.ok);
    const texts = [...health.alarms, ...failed.map(([name, check]) => `${name}: ${check.detail}`)];
    alarm.hidden = texts.length === 0;
    alarm.textContent = texts.length ? `${say("alarm.not_ready")} — ${texts.join(" · ")}` : "";
  } catch {
    live("off");
  }
}

function open(publicId) {
  view.selected = publicId;
  mark();
  openDetails(publicId, { changed: () => load(), closed: () => shut() });
}

function shut() {
  const row = shown.get(view.selected)?.row;
  view.selected = null;
  closeDetails();
  mark();
  row?.querySelector("button").focus();
}

function mark() {
  for (const [id, { row }] of shown) {
    if (id === view.selected) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function move(step) {
  const list = [...rows.children];
  const here = list.findIndex((row) => row.contains(document.activeElement));
  const next = list[Math.min(Math.max(here + step, 0), list.length - 1)];
  next?.querySelector("button").focus();
  next?.scrollIntoView({ block: "nearest" });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "Escape" && view.selected) shut();
  else return;
  event.preventDefault();
}

function tick() {
  refreshTimes(rows, Date.now() / 1000 + view.clockOffsetS);
}

function redraw() {
  for (const entry of shown.values()) entry.text = null;
  if (view.page) show(view.page);
  if (view.selected) refreshDetails(view.selected);
  const sign = document.getElementById("live");
  if (sign.dataset.how) live(sign.dataset.how);
  checkReady();
}

await loadWords();
await loadNames();
offerLanguages(document.getElementById("language"), redraw);
document.getElementById("more").addEventListener("click", () => {
  view.limit = Math.min(view.limit + PAGE, MOST);
  load();
});
document.getElementById("sign-out").addEventListener("click", async () => {
  await ask("/api/sign-out", { method: "POST" });
  location.assign("/sign-in");
});
document.addEventListener("keydown", onKey);
await load();
listen();
checkReady();
setInterval(poll, POLL_MS);
setInterval(checkReady, READY_MS);
setInterval(tick, 10000);
