/** One round of sending: what is queued, on its way, kept, refused; and what is said of its studies at the end. */
import { create } from "zustand";
import { ask, listeners } from "../api.ts";
import { type Found, kindOf } from "./files.ts";
import { currentOrder, keepOrder, type Order, takeOrder } from "./order.ts";
import { type FileOutcome, NO_ANSWER, type Sending } from "./post.ts";
import { send } from "./send.ts";

const PARALLEL = 4;
const NO_IMAGE = new Set(["not_dicom", "dicomdir"]); // refused, and yet no image of a study is missing

export type Group = "kept" | "held" | "refused" | "left" | "lost";

export interface Result {
  name: string;
  group: Group;
  /** A code with words under `arrived.`. */
  reason: string;
  message: string | null;
}

export interface Ended {
  studies: number;
  /** Every image of every study is here, and the service was told so. */
  isWhole: boolean;
  /** The question or the priority of some study could not be kept. */
  orderFailed: boolean;
}

interface Round {
  results: Result[];
  counts: Record<Group | "waiting", number>;
  bytesAll: number;
  bytesGone: number;
  underWay: number;
  ended: Ended | null;
}

const NOTHING: Round = {
  results: [], counts: { kept: 0, held: 0, refused: 0, left: 0, lost: 0, waiting: 0 }, bytesAll: 0, bytesGone: 0, underWay: 0, ended: null,
};

export const useRound = create<Round>(() => NOTHING);

const queue: Sending[] = [];
const lost: Sending[] = [];
const studies = new Map<string, string | null>(); // Study Instance UID → site
const sent = new Map<Sending, number>();
let bytesDone = 0;
let senders = 0;
let looking = 0; // folders whose files are still being looked at
let gaps = 0; // files refused or held aside: images that their studies may lack
let orders: Ordered[] = [];

/** A study's question and priority, on their way since its first image was kept. */
interface Ordered {
  study: string;
  site: string | null;
  order: Order;
  isKept: Promise<boolean>;
}

/** Queues files; the question that stands on the form now is theirs, and the form is free for the next patient. */
export async function add(found: readonly Found[], site: string | null): Promise<void> {
  useRound.setState({ ended: null });
  looking += 1;
  const order = currentOrder();
  for (const one of found) {
    const kind = await kindOf(one);
    if (kind === "image" || kind === "zip") {
      useRound.setState(({ bytesAll }) => ({ bytesAll: bytesAll + one.file.size }));
      takeOrder(order);
      queue.push({ ...one, kind, site, order });
      start();
    } else {
      settle({ name: one.name, group: "left", reason: kind, message: null });
    }
  }
  looking -= 1;
  show();
  await endIfAll();
}

export function retry(): void {
  const again = lost.splice(0);
  for (const one of again) bytesDone -= one.file.size;
  useRound.setState(({ results, counts }) => ({
    results: results.filter((one) => one.group !== "lost"), counts: { ...counts, lost: 0 }, ended: null,
  }));
  queue.push(...again);
  start();
}

export function isSending(): boolean {
  return senders > 0;
}

function start(): void {
  while (senders < PARALLEL && senders < queue.length + sent.size) {
    senders += 1;
    void run();
  }
}

async function run(): Promise<void> {
  for (let one = queue.shift(); one; one = queue.shift()) await sendOne(one);
  senders -= 1;
  await endIfAll();
}

async function sendOne(one: Sending): Promise<void> {
  sent.set(one, 0);
  let isWaiting = false;
  const wait = (now: boolean) => {
    const step = Number(now) - Number(isWaiting);
    isWaiting = now;
    if (step) useRound.setState(({ counts }) => ({ counts: { ...counts, waiting: counts.waiting + step } }));
    show();
  };
  const answer = await send(one, {
    progress: (bytes) => {
      sent.set(one, Math.min(bytes, one.file.size));
      wait(false);
    },
    waiting: () => wait(true),
  }).catch(() => NO_ANSWER);
  wait(false);
  sent.delete(one);
  bytesDone += one.file.size;
  if (answer.status === 401) listeners.signedOut();
  if (answer.body?.files) for (const file of answer.body.files) settleFile(one, file);
  else {
    lost.push(one);
    settle({ name: one.name, group: "lost", reason: answer.body?.error ?? "lost", message: null });
  }
  show();
}

function settleFile(one: Sending, file: FileOutcome): void {
  const group: Group = file.outcome === "held" ? "held" : file.kept ? "kept" : "refused";
  const reason = file.reason ?? file.outcome;
  if (group !== "kept" && !NO_IMAGE.has(reason)) gaps += 1;
  if (file.kept && file.study_instance_uid) {
    studies.set(file.study_instance_uid, one.site);
    sendOrder(file.study_instance_uid, one);
  }
  const name = one.kind === "zip" && file.name !== one.name ? `${one.name} / ${file.name}` : one.name;
  settle({ name, group, reason, message: file.message });
}

function sendOrder(study: string, { site, order }: Sending): void {
  if (orders.some((one) => one.study === study && one.order === order)) return;
  orders.push({ study, site, order, isKept: keepOrder(study, site, order) });
}

/** Tries once more what could not be kept; returns whether everything is. */
async function allOrdersKept(): Promise<boolean> {
  const kept = await Promise.all(
    orders.map(async ({ study, site, order, isKept }) => (await isKept) || keepOrder(study, site, order)),
  );
  return kept.every(Boolean);
}

function settle(result: Result): void {
  useRound.setState(({ results, counts }) => ({
    results: [...results, result], counts: { ...counts, [result.group]: counts[result.group] + 1 },
  }));
}

function show(): void {
  const gone = [...sent.values()].reduce((sum, bytes) => sum + bytes, bytesDone);
  useRound.setState({ bytesGone: gone, underWay: queue.length + sent.size });
}

async function endIfAll(): Promise<void> {
  if (senders > 0 || looking > 0 || queue.length > 0) return;
  await end();
}

/** Waits for the orders, then says "that was all", so that nobody waits for its quiet time. */
async function end(): Promise<void> {
  const isWhole = lost.length === 0 && gaps === 0;
  const here = [...studies];
  const isOrdered = await allOrdersKept();
  const told = await Promise.allSettled(
    (isWhole ? here : []).map(([study, site]) => ask(`/api/studies/${study}/done`, { method: "POST", query: { site } })),
  );
  useRound.setState({
    ended: {
      studies: here.length,
      isWhole: isWhole && told.every((one) => one.status === "fulfilled"),
      orderFailed: !isOrdered,
    },
  });
  if (lost.length === 0) {
    studies.clear();
    orders = [];
    gaps = 0;
  }
  show();
}
