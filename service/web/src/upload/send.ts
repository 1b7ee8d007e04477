/** Sends one file, the way that its size asks for. */
import { type Answer, again, type Hears, post, type Sending } from "./post.ts";
import { sendInPieces } from "./resume.ts";

/** From here on a file is sent in pieces: on a link of 50 kB/s it takes over a minute. */
const LARGE_BYTES = 4 * 1024 * 1024;

export function send(one: Sending, hears: Hears): Promise<Answer> {
  if (one.file.size >= LARGE_BYTES) return sendInPieces(one, hears);
  return again(() => post("/api/uploads", one, hears.progress), hears);
}
