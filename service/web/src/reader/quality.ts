/** Steps of saying how good a film is. */

import type { Grade, Quality } from "./types.ts";

export const GRADES: readonly Grade[] = ["good", "limited", "insufficient"];

/** Returns the quality with this grade; a good film has no reasons. */
export function graded(quality: Quality | null, grade: Grade): Quality {
  return { grade, reasons: grade === "good" ? [] : (quality?.reasons ?? []) };
}

/** Returns the quality after the grade's key was pressed once more. */
export function nextGraded(quality: Quality | null): Quality {
  return graded(quality, GRADES[(quality ? GRADES.indexOf(quality.grade) + 1 : 0) % GRADES.length] ?? "good");
}

/** Returns the quality with a reason given, or taken back where it was given. */
export function withReason({ grade, reasons }: Quality, reason: string): Quality {
  return { grade, reasons: reasons.includes(reason) ? reasons.filter((one) => one !== reason) : [...reasons, reason] };
}
