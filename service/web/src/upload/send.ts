/** Sends one file: again and again over a bad link, with growing pauses; sending twice does no harm. */
import type { Found, Kind } from "./files.ts";
import type { Order } from "./order.ts";

const ATTEMPTS = 8;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
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

interface Hears {
  /** Bytes that have gone so far. */
  progress: (sent: number) => void;
  /** The file waits for another try. */
  waiting: () => void;
}

export async function send(one: Sending, hears: Hears): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await once(one, hears.progress);
    if (!PASSING.has(answer.status) || attempt === ATTEMPTS) return answer;
    hears.waiting();
    const asked = Number(answer.retryAfter) * 1000 || 0;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, Math.max(asked, pause)));
  }
}

function once({ name, file, kind, site }: Sending, progress: Hears["progress"]): Promise<Answer> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how much of a body has gone
    request.open("POST", site ? `/api/uploads?site=${encodeURIComponent(site)}` : "/api/uploads");
    request.setRequestHeader("Content-Type", kind === "zip" ? "application/zip" : "application/dicom");
    request.setRequestHeader("X-File-Name", encodeURIComponent(name));
    request.setRequestHeader("X-Pandok", "1");
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = request.onabort = () => resolve({ status: 0, body: null, retryAfter: null });
    request.onload = () =>
      resolve({ status: request.status, body: parsed(request.responseText), retryAfter: request.getResponseHeader("Retry-After") });
    request.send(file);
  });
}

function parsed(answer: string): Answer["body"] {
  try {
    return JSON.parse(answer) as Answer["body"];
  } catch {
    return null;
  }
}
