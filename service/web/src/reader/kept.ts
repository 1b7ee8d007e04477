/** Words that the service has not taken yet, kept while the app is open: who loses a claim loses nothing he wrote. */

import { create } from "zustand";
import type { Content } from "./report.ts";

/** By who wrote them and the case they are of; never in the browser's own storage, which outlives the session. */
export const useKept = create<Readonly<Record<string, Content>>>(() => ({}));

const nameOf = (by: string, id: string) => `${by}/${id}`;

export function keepWords(by: string, id: string, content: Content): void {
  useKept.setState({ [nameOf(by, id)]: content });
}

export function keptWords(by: string, id: string): Content | undefined {
  return useKept.getState()[nameOf(by, id)];
}

export function forgetWords(by: string, id: string): void {
  const { [nameOf(by, id)]: _gone, ...rest } = useKept.getState();
  useKept.setState(rest, true);
}

/** Returns everything that somebody typed, as a text that can be copied. */
export function wordsOf(content: Content): string {
  const typed = [
    content.technique.text,
    ...content.findings.map(({ text }) => text),
    content.findings_text,
    content.impression_text,
    content.recommendation_text,
  ];
  return typed.filter((text) => text.trim()).join("\n\n");
}
