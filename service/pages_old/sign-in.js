// Changes the one-time link's token, which stands after "#" and so never reached a server, into a session.
import { loadWords, offerLanguages, say } from "./words.js";

const status = document.getElementById("status");
let shown = null;

function show(key) {
  shown = key;
  status.textContent = key ? say(key) : "";
}

async function signIn(token) {
  show("sign_in.working");
  const answer = await fetch("/api/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Pandok": "1" },
    body: JSON.stringify({ token }),
  });
  if (answer.ok) location.replace("/");
  else show("sign_in.refused");
}

const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname); // the token stays in no history
await loadWords();
offerLanguages(document.getElementById("language"), () => show(shown));
if (token) await signIn(token);
