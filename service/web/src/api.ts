/** Asks the service: JSON over HTTP with the session's cookie. Shapes of answers are in shapes.ts. */

/** The service said no: `code` is for programs, `message` tells a person what to do. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: Record<string, unknown>;

  constructor(status: number, code: string, message: string, detail: Record<string, unknown> = {}) {
    super(message);
    this.name = "Refused";
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

export interface Asking {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  query?: Record<string, string | number | boolean | null | undefined>;
  /** The fencing token of a claimed case. */
  claim?: number | null;
  /** Asked by a clock and not by a person: does not keep a session alive. */
  background?: boolean;
  /** Fetched ahead: nobody opened it. */
  prefetch?: boolean;
  signal?: AbortSignal;
}

/** Hears of answers that say who we are no longer; set by the app. */
export const listeners: { signedOut: () => void; passwordWanted: () => void } = {
  signedOut: () => undefined,
  passwordWanted: () => undefined,
};

/** Returns what the service answers, `undefined` for 204; throws Refused. */
export async function ask<T>(path: string, asking: Asking = {}): Promise<T> {
  const { method = "GET", body, query, claim, background, prefetch, signal } = asking;
  const headers: Record<string, string> = { Accept: "application/json", "X-Pandok": "1" };
  if (background) headers["X-Pandok-Background"] = "1";
  if (prefetch) headers["X-Pandok-Prefetch"] = "1";
  if (claim != null) headers["X-Pandok-Claim"] = String(claim);
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const address = query ? `${path}?${toQuery(query)}` : path;
  const answer = await fetch(address, {
    method,
    headers,
    signal: signal ?? null,
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (!answer.ok) throw await refusal(answer);
  if (answer.status === 204) return undefined as T;
  return (await answer.json()) as T;
}

/** Sends a file as the whole body; otherwise as `ask`. */
export async function askWith<T>(path: string, file: Blob, query: NonNullable<Asking["query"]>): Promise<T> {
  const headers = { Accept: "application/json", "X-Pandok": "1", "Content-Type": "application/dicom" };
  const answer = await fetch(`${path}?${toQuery(query)}`, { method: "POST", headers, body: file });
  if (!answer.ok) throw await refusal(answer);
  return (await answer.json()) as T;
}

export function toQuery(values: NonNullable<Asking["query"]>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  return query.toString();
}

async function refusal(answer: Response): Promise<Refused> {
  let body: Record<string, unknown> = {};
  try {
    body = (await answer.json()) as Record<string, unknown>;
  } catch {
    // an answer of a proxy in between: the status is all there is
  }
  const refused = new Refused(
    answer.status,
    typeof body["error"] === "string" ? body["error"] : `http_${answer.status}`,
    typeof body["message"] === "string" ? body["message"] : answer.statusText,
    body,
  );
  if (refused.code === "set_password_first") listeners.passwordWanted();
  else if (answer.status === 401 && !new URL(answer.url).pathname.startsWith("/api/sign-in")) listeners.signedOut();
  return refused;
}
