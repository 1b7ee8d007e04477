/** Sends a large file so that it goes on where a bad link broke, even after the page was closed (tus.io). */
import { DetailedError, defaultOptions, type HttpRequest, type HttpResponse, Upload } from "tus-js-client";
import { type Answer, again, type FileOutcome, type Hears, isPassing, NO_ANSWER, PAUSES_MS, post, type Sending } from "./post.ts";

const ROOM = "/api/uploads/resumable";
/** Of one request: each keeps the person signed in, who is signed out after a quarter of an hour without any. */
const PIECE_BYTES = 8 * 1024 * 1024;
const ELSEWHERE = 409; // the offset is another one than we thought: ask for it
const GONE = new Set([404, 410]);
/** Refusals that say nothing of a file: the service keeps what came, so that it may be asked again. */
const PASSING_REASONS = new Set(["out_of_resources", "overloaded", "processing_failure"]);

const HEADERS = { "X-Pandok": "1" };

export async function sendInPieces(one: Sending, hears: Hears): Promise<Answer> {
  const mark = await markOf(one.file, one.site);
  const place = await arrived(one, mark, hears);
  if (typeof place !== "string") return place;
  const answer = await again(() => post(`${place}/take`, one, null), hears);
  if (answer.body?.files && !answer.body.files.some(isPassingRefusal)) await forget(place, mark);
  return answer;
}

/** Brings every byte to the service; gives the upload's address, or why not. Pauses begin anew after each step ahead. */
function arrived({ file, site }: Sending, mark: string, hears: Hears): Promise<string | Answer> {
  return new Promise((resolve) => {
    const upload = new Upload(file, {
      endpoint: site ? `${ROOM}?site=${encodeURIComponent(site)}` : ROOM,
      headers: HEADERS,
      chunkSize: PIECE_BYTES,
      retryDelays: PAUSES_MS,
      fingerprint: async () => mark,
      storeFingerprintForResuming: mark !== "",
      onProgress: hears.progress,
      onAfterResponse: mustTellOffset,
      onShouldRetry: (error) => {
        const status = statusOf(error);
        const retries = isPassing(status) || status === ELSEWHERE;
        if (retries) hears.waiting();
        return retries;
      },
      onError: (error) => resolve(answerOf(error)),
      onSuccess: () => resolve(upload.url ?? ""),
    });
    const earlier = mark === "" ? Promise.resolve([]) : upload.findPreviousUploads();
    earlier.then(
      ([before]) => {
        if (before) upload.resumeFromPreviousUpload(before);
        upload.start();
      },
      () => upload.start(),
    );
  });
}

class NoOffset extends Error {
  constructor(readonly status: number) {
    super(`the offset was not told: ${status}`);
  }
}

/** A proxy's 502 or the end of a session says nothing of an upload: it is not begun anew, as the library would. */
function mustTellOffset(request: HttpRequest, response: HttpResponse): void {
  const status = response.getStatus();
  if (request.getMethod() === "HEAD" && status >= 300 && !GONE.has(status)) throw new NoOffset(status);
}

/** Tells a file again without keeping its name, which may be a patient's; empty where nothing can. */
async function markOf(file: File, site: string | null): Promise<string> {
  if (!globalThis.crypto?.subtle) return "";
  const words = new TextEncoder().encode(JSON.stringify([file.name, file.size, file.lastModified, site]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", words));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function forget(place: string, mark: string): Promise<void> {
  fetch(place, { method: "DELETE", headers: { ...HEADERS, "Tus-Resumable": "1.0.0" } }).catch(() => {}); // it expires by itself
  if (mark === "") return;
  const store = defaultOptions.urlStorage;
  for (const { urlStorageKey } of await store.findUploadsByFingerprint(mark)) await store.removeUpload(urlStorageKey);
}

function isPassingRefusal({ reason }: FileOutcome): boolean {
  return reason !== null && PASSING_REASONS.has(reason);
}

function statusOf(error: Error): number {
  if (!(error instanceof DetailedError)) return 0;
  if (error.causingError instanceof NoOffset) return error.causingError.status;
  return error.originalResponse?.getStatus() ?? 0;
}

function answerOf(error: Error): Answer {
  const said = error instanceof DetailedError ? error.originalResponse?.getBody() : undefined;
  const code = said?.match(/"error":\s*"(\w+)"/)?.[1];
  return { ...NO_ANSWER, status: statusOf(error), body: code ? { error: code } : null };
}
