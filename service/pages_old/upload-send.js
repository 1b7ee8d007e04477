// Sends one file: again and again over a bad link, with growing pauses; sending twice does no harm.
const ATTEMPTS = 8;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30000;
const PASSING = new Set([0, 408, 429, 500, 502, 503, 504]);

/**
 * Returns {status, body}; status 0 is a network that never came back. `progress` hears the bytes sent so far,
 * `waiting` that the file waits for another try.
 */
export async function send({ name, file, kind, site }, { progress, waiting }) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await once({ name, file, kind, site }, progress);
    if (!PASSING.has(answer.status) || attempt === ATTEMPTS) return answer;
    waiting();
    const asked = Number(answer.retryAfter) * 1000 || 0;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, Math.max(asked, pause)));
  }
}

function once({ name, file, kind, site }, progress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how much of a body has gone
    request.open("POST", `/api/uploads?site=${encodeURIComponent(site)}`);
    request.setRequestHeader("Content-Type", kind === "zip" ? "application/zip" : "application/dicom");
    request.setRequestHeader("X-File-Name", encodeURIComponent(name));
    request.setRequestHeader("X-Pandok", "1");
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = request.onabort = () => resolve({ status: 0, body: null });
    request.onload = () => {
      resolve({ status: request.status, body: parsed(request.responseText), retryAfter: request.getResponseHeader("Retry-After") });
    };
    request.send(file);
  });
}

function parsed(answer) {
  try {
    return JSON.parse(answer);
  } catch {
    return null;
  }
}
