// Asks the service: JSON in and out, and back to the sign-in page when the session has ended.

/** `background` marks what a page asks by itself: it does not keep a session alive. */
export async function ask(address, { method = "GET", body = null, background = false, evenIf = [] } = {}) {
  const headers = { Accept: "application/json", "X-Pandok": "1" };
  if (background) headers["X-Pandok-Background"] = "1";
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(address, { method, headers, body: body ? JSON.stringify(body) : null });
  if (answer.status === 401) location.assign("/sign-in");
  if (!answer.ok && !evenIf.includes(answer.status)) throw new Error(`status ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}
