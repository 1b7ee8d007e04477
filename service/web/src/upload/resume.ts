/** Sends a large file so that it goes on where a bad link broke, even after the page was closed (tus.io). */
import { DetailedError, Upload } from "tus-js-client";
import { type Answer, again, FIRST_PAUSE_MS, type Hears, isPassing, LONGEST_PAUSE_MS, parsed, post, type Sending } from "./send.ts";

const ROOM = "/api/uploads/resumable";
const PAUSES_MS = [1, 2, 4, 8, 16, 30, 30].map((times) => Math.min(LONGEST_PAUSE_MS, times * FIRST_PAUSE_MS));
const ELSEWHERE = new Set([409, 423]); // the request before is not over yet

export async function sendInPieces(one: Sending, hears: Hears): Promise<Answer> {
  const place = await arrived(one, hears);
  if (typeof place !== "string") return place;
  const answer = await again(() => post(`${place}/take`, one, null), hears);
  if (answer.body?.files) forget(place);
  return answer;
}

/** Brings every byte to the service; gives the upload's address, or why not. Pauses begin anew after each step ahead. */
async function arrived({ file, site }: Sending, hears: Hears): Promise<string | Answer> {
  const mark = await markOf(file, site);
  return new Promise((resolve) => {
    const upload = new Upload(file, {
      endpoint: site ? `${ROOM}?site=${encodeURIComponent(site)}` : ROOM,
      headers: { "X-Pandok": "1" },
      retryDelays: PAUSES_MS,
      fingerprint: async () => mark ?? "",
      storeFingerprintForResuming: mark !== null,
      removeFingerprintOnSuccess: true,
      onProgress: hears.progress,
      onShouldRetry: (error) => {
        const status = statusOf(error);
        const retries = isPassing(status) || ELSEWHERE.has(status);
        if (retries) hears.waiting();
        return retries;
      },
      onError: (error) => resolve(answerOf(error)),
      onSuccess: () => resolve(upload.url ?? ""),
    });
    const earlier = mark === null ? Promise.resolve([]) : upload.findPreviousUploads();
    void earlier.then(([before]) => {
      if (before) upload.resumeFromPreviousUpload(before);
      upload.start();
    });
  });
}

/** Tells a file again without keeping its name, which may be a patient's. */
async function markOf(file: File, site: string | null): Promise<string | null> {
  if (!globalThis.crypto?.subtle) return null;
  const words = new TextEncoder().encode(JSON.stringify([file.name, file.size, file.lastModified, site]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", words));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function forget(place: string): void {
  const headers = { "Tus-Resumable": "1.0.0", "X-Pandok": "1" };
  fetch(place, { method: "DELETE", headers }).catch(() => {}); // it expires by itself
}

function statusOf(error: Error): number {
  return (error instanceof DetailedError && error.originalResponse?.getStatus()) || 0;
}

function answerOf(error: Error): Answer {
  const said = error instanceof DetailedError ? error.originalResponse?.getBody() : undefined;
  return { status: statusOf(error), body: said ? parsed(said) : null, retryAfter: null };
}
