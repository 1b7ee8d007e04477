/** What a reader is told of a stack's slices: missing, doubled, tilted, of unknown order. */

import type { StackNotice } from "../reader/types.ts";

/** Codes with words of their own; all others say that the slices' positions are not known. */
const WORDED = ["slices_missing", "duplicates", "duplicates_differ", "repeated", "tilted", "tilt_contradicted", "spacing_irregular", "slices_shifted"] as const; // prettier-ignore

/** Returns the key of a notice's words. */
export function wordsOf(notice: StackNotice): (typeof WORDED)[number] | "order_unknown" {
  return WORDED.find((code) => code === notice.code) ?? "order_unknown";
}
