/** Trusted Types: no text becomes markup, and code comes from our own address only. */
interface Policies {
  createPolicy(name: string, rules: Record<string, (text: string) => string>): unknown;
}

/** Style sheets that are set as text pass; anything that could hold an element does not. */
export function allowMarkup(text: string): string {
  if (text.includes("<")) throw new TypeError("Markup from text is not allowed here.");
  return text;
}

export function allowScriptAddress(text: string, origin: string): string {
  if (new URL(text, origin).origin !== origin) throw new TypeError("Code from another address is not allowed here.");
  return text;
}

const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes;
policies?.createPolicy("default", {
  createHTML: allowMarkup,
  createScriptURL: (text) => allowScriptAddress(text, location.origin),
});
