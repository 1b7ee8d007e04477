/** One question to the service about a file, asked again and again over a bad link; asking twice does no harm. */
import type { Found, Kind } from "./files.ts";
import type { Order } from "./order.ts";

const ATTEMPTS = 8;
const PASSING = new Set([0, 408, 423, 429, 500, 502, 503, 504, 507]);
const STILL_AT_IT = 423; // the same question, whose line broke, is not answered yet: that is no failed attempt
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

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

export const NO_ANSWER: Answer = { status: 0, body: null, retryAfter: null };

/** Pauses before the second try and those after it. */
export const PAUSES_MS = Array.from({ length: ATTEMPTS - 1 }, (_, tries) => Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries));

/** Asks until an answer is no passing trouble. */
export async function again(ask: () => Promise<Answer>, hears: Hears): Promise<Answer> {
  for (let tries = 0; ; tries += 1) {
    const answer = await ask();
    if (!isPassing(answer.status) || tries >= PAUSES_MS.length) return answer;
    hears.waiting();
    const asked = Number(answer.retryAfter) * 1000 || 0;
    const pause = (PAUSES_MS[tries] ?? LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, Math.max(asked, pause)));
    if (answer.status === STILL_AT_IT) tries = Math.min(tries, PAUSES_MS.length - 2);
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
    request.onerror = request.onabort = () => resolve(NO_ANSWER);
    request.onload = () =>
      resolve({ status: request.status, body: parsed(request.responseText), retryAfter: request.getResponseHeader("Retry-After") });
    request.send(progress ? file : null);
  });
}

function parsed(answer: string): Answer["body"] {
  try {
    return JSON.parse(answer) as Answer["body"];
  } catch {
    return null;
  }
}
