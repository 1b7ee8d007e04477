/** Sends one file: again and again over a bad link, with growing pauses; sending twice does no harm. */
import type { Found, Kind } from "./files.ts";
import type { Order } from "./order.ts";

const ATTEMPTS = 8;
export const FIRST_PAUSE_MS = 1_000;
export const LONGEST_PAUSE_MS = 30_000;
/** From here on a file is sent in pieces: on a link of 50 kB/s it takes over a minute. */
const LARGE_BYTES = 4 * 1024 * 1024;
const PASSING = new Set([0, 408, 429, 500, 502, 503, 504]);

export interface Sending extends Found {
  kind: Kind;
  site: string | null;
  /** What was asked when the file was added. */
  order: Order;
}

export interface FileOutcome {
  name: string;
  outcome: string;
  reason: string | null;
  message: string | null;
  kept: boolean;
  study_instance_uid: string | null;
}

export interface Answer {
  /** 0: a network that never came back. */
  status: number;
  body: { files?: FileOutcome[]; error?: string } | null;
  retryAfter: string | null;
}

export interface Hears {
  /** Bytes that have gone so far. */
  progress: (sent: number) => void;
  /** The file waits for another try. */
  waiting: () => void;
}

export function send(one: Sending, hears: Hears): Promise<Answer> {
  if (one.file.size >= LARGE_BYTES) return import("./resume.ts").then(({ sendInPieces }) => sendInPieces(one, hears));
  return again(() => post("/api/uploads", one, hears.progress), hears);
}

/** Asks until an answer is no passing trouble. */
export async function again(ask: () => Promise<Answer>, hears: Hears): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await ask();
    if (!isPassing(answer.status) || attempt === ATTEMPTS) return answer;
    hears.waiting();
    const asked = Number(answer.retryAfter) * 1000 || 0;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, Math.max(asked, pause)));
  }
}

export function isPassing(status: number): boolean {
  return PASSING.has(status);
}

/** Sends a file, or without `progress` only says what it is. */
export function post(address: string, { name, file, kind, site }: Sending, progress: Hears["progress"] | null): Promise<Answer> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how much of a body has gone
    request.open("POST", progress && site ? `${address}?site=${encodeURIComponent(site)}` : address);
    request.setRequestHeader("Content-Type", kind === "zip" ? "application/zip" : "application/dicom");
    request.setRequestHeader("X-File-Name", encodeURIComponent(name));
    request.setRequestHeader("X-Pandok", "1");
    if (progress) request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = request.onabort = () => resolve({ status: 0, body: null, retryAfter: null });
    request.onload = () =>
      resolve({ status: request.status, body: parsed(request.responseText), retryAfter: request.getResponseHeader("Retry-After") });
    request.send(progress ? file : null);
  });
}

export function parsed(answer: string): Answer["body"] {
  try {
    return JSON.parse(answer) as Answer["body"];
  } catch {
    return null;
  }
}
