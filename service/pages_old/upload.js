// The upload page: folders, files and zips go in, one outcome for every file comes back, in plain words.
import { ask } from "./ask.js";
import { element } from "./elements.js";
import { droppedFiles, kindOf, pickedFiles } from "./upload-files.js";
import { send } from "./upload-send.js";
import { has, loadWords, offerLanguages, say } from "./words.js";

const PARALLEL = 4;
const MOST_ROWS = 1000;
const NO_IMAGE = new Set(["not_dicom", "dicomdir"]); // refused, and yet no image of a study is missing

const part = (id) => document.getElementById(id);
const queue = [];
const lost = []; // files that could not be sent; the button sends them again
const results = []; // {name, group, reason, message}: what stands in the table
const studies = new Map(); // Study Instance UID → site, of what was kept in this round
const count = { kept: 0, held: 0, refused: 0, left: 0, lost: 0, waiting: 0 };
const bytes = { all: 0, done: 0 };
const sending = new Map(); // file under way → bytes of it that have gone
let senders = 0;
let looking = 0; // folders whose files are still being looked at
let gaps = 0; // files refused or held aside in this round: images that their studies may lack
let ended = null;

async function add(found) {
  ended = null;
  looking += 1;
  await ready;
  const site = part("site").value;
  part("progress").hidden = false;
  for (const { name, file } of found) {
    const kind = await kindOf({ name, file });
    if (kind === "image" || kind === "zip") {
      bytes.all += file.size;
      queue.push({ name, file, kind, site });
      start();
    } else {
      settle({ name, group: "left", reason: kind });
    }
  }
  looking -= 1;
  show();
  await endIfAll();
}

function start() {
  while (senders < PARALLEL && senders < queue.length + sending.size) {
    senders += 1;
    run();
  }
}

async function run() {
  while (queue.length) {
    const one = queue.shift();
    await sendOne(one);
  }
  senders -= 1;
  await endIfAll();
}

async function endIfAll() {
  if (!senders && !looking && !queue.length) await end();
}

async function sendOne(one) {
  sending.set(one, 0);
  let isWaiting = false;
  const wait = (now) => {
    count.waiting += Number(now) - Number(isWaiting);
    isWaiting = now;
    show();
  };
  const answer = await send(one, {
    progress: (sent) => {
      sending.set(one, Math.min(sent, one.file.size));
      wait(false);
    },
    waiting: () => wait(true),
  });
  wait(false);
  sending.delete(one);
  bytes.done += one.file.size;
  if (answer.status === 401) location.assign("/sign-in");
  if (answer.body?.files) answer.body.files.forEach((file) => settleFile(one, file));
  else {
    lost.push(one);
    const reason = has(`arrived.${answer.body?.error}`) ? answer.body.error : "lost";
    settle({ name: one.name, group: "lost", reason });
  }
  show();
}

function settleFile(one, file) {
  const group = file.outcome === "held" ? "held" : file.kept ? "kept" : "refused";
  if (group !== "kept" && !NO_IMAGE.has(file.reason)) gaps += 1;
  if (file.kept && file.study_instance_uid) studies.set(file.study_instance_uid, one.site);
  const name = one.kind === "zip" && file.name !== one.name ? `${one.name} / ${file.name}` : one.name;
  settle({ name, group, reason: file.reason ?? file.outcome, message: file.message });
}

function settle(result) {
  count[result.group] += 1;
  results.push(result);
  if (results.length <= MOST_ROWS) part("rows").append(rowOf(result));
}

/** Says "that was all" for each study, so that nobody waits for its quiet time. Never when something is missing. */
async function end() {
  const whole = lost.length || gaps ? [] : [...studies];
  const told = await Promise.allSettled(
    whole.map(([study, site]) => ask(`/api/studies/${study}/done?site=${encodeURIComponent(site)}`, { method: "POST" })),
  );
  ended = { studies: studies.size, isWhole: !lost.length && !gaps && told.every((one) => one.status === "fulfilled") };
  if (!lost.length) {
    studies.clear();
    gaps = 0;
  }
  show();
}

function words(result) {
  const key = `arrived.${result.reason}`;
  return has(key) ? say(key) : (result.message ?? result.reason);
}

function rowOf(result) {
  const outcome = element("td", `outcome-${result.group}`, words(result));
  return element("tr", "", element("td", "", result.name), outcome);
}

function show() {
  const gone = [...sending.values()].reduce((sum, sent) => sum + sent, bytes.done);
  part("bar").value = bytes.all ? gone / bytes.all : 1;
  const said = ["kept", "held", "refused", "left", "lost", "waiting"].filter((group) => group === "kept" || count[group]);
  const under = queue.length + sending.size;
  if (under) said.push("under_way");
  part("totals").textContent = said.map((group) => say(`upload.${group}`, { n: count[group] ?? under })).join(" · ");
  part("after").textContent = ended ? say(afterKey(), { n: ended.studies }) : "";
  part("retry").hidden = !lost.length || senders > 0;
  const hidden = Math.max(0, results.length - MOST_ROWS);
  part("unlisted").textContent = hidden ? say("upload.unlisted", { n: hidden }) : "";
}

function afterKey() {
  if (lost.length) return "upload.after_lost";
  if (!ended.studies) return "upload.after_nothing";
  return ended.isWhole ? "upload.after_whole" : "upload.after_waits";
}

function retry() {
  const again = lost.splice(0);
  count.lost = 0;
  for (const one of again) bytes.done -= one.file.size;
  const kept = results.filter((result) => result.group !== "lost");
  results.splice(0, results.length, ...kept);
  ended = null;
  redraw();
  queue.push(...again);
  start();
}

function redraw() {
  part("rows").replaceChildren(...results.slice(0, MOST_ROWS).map(rowOf));
  show();
}

async function offerSites() {
  const { sites } = await ask("/api/sites");
  for (const site of sites) {
    const option = document.createElement("option");
    option.value = site.code;
    option.textContent = site.name;
    part("site").append(option);
  }
  part("site-choice").hidden = sites.length < 2;
}

function listen() {
  part("pick-folder").addEventListener("click", () => part("folder").click());
  part("pick-files").addEventListener("click", () => part("files").click());
  part("retry").addEventListener("click", retry);
  for (const id of ["folder", "files"]) {
    part(id).addEventListener("change", () => {
      const found = pickedFiles(part(id));
      part(id).value = ""; // the same folder may be picked again
      add(found);
    });
  }
  for (const name of ["dragover", "dragleave", "drop"]) {
    // On the whole page: a file dropped beside the box would replace the page.
    addEventListener(name, (event) => {
      event.preventDefault();
      part("drop").classList.toggle("over", name === "dragover");
    });
  }
  addEventListener("drop", async (event) => add(await droppedFiles(event.dataTransfer)));
  addEventListener("beforeunload", (event) => {
    if (senders) event.preventDefault();
  });
}

async function prepare() {
  await loadWords({ likeBrowser: true });
  offerLanguages(part("language"), redraw);
  await offerSites();
}

const ready = prepare();
listen();
