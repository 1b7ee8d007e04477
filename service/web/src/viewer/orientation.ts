/** Letters at the edges of a film: to which side of the patient each edge points, turned with the picture. */

import { type DicomJson, numbers, TAG } from "./dicomJson.ts";
import type { Pose } from "./matrix.ts";

export interface Edges {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

const PATIENT_ORIENTATION = "00200020";
const OPPOSITE: Record<string, string> = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };
const OBLIQUE = 0.35;

/** Returns where rows and columns run, as the header says it; undefined when it does not. */
export function directionsOf(data: DicomJson): { row: string; column: string } | undefined {
  const cosines = numbers(data, TAG.imageOrientation, 6);
  if (cosines && numbers(data, TAG.imagePosition, 3)) {
    return { row: lettersOf(cosines.slice(0, 3)), column: lettersOf(cosines.slice(3)) };
  }
  const [row, column] = data[PATIENT_ORIENTATION]?.Value ?? [];
  if (typeof row !== "string" || typeof column !== "string") return undefined;
  const known = (word: string) => /^[LRAPHF]{1,3}$/.test(word);
  return known(row) && known(column) ? { row, column } : undefined;
}

/** Returns the letters for the edges of the screen. */
export function edgesOf(directions: { row: string; column: string }, pose: Pose): Edges {
  const { row, column } = directions;
  // Clockwise from the right edge of the stored image.
  const around = [row, column, opposite(row), opposite(column)];
  const stored = pose.isMirrored ? [around[2], around[1], around[0], around[3]] : around;
  const at = (place: number) => stored[(place - pose.quarterTurns + 8) % 4] ?? "";
  return { right: at(0), bottom: at(1), left: at(2), top: at(3) };
}

/** A frontal film hangs with the patient's right on the viewer's left (STANDARDS WL-60). */
export function isRadiological(edges: Edges): boolean {
  return edges.left.startsWith("R") && edges.right.startsWith("L");
}

function opposite(letters: string): string {
  return [...letters].map((letter) => OPPOSITE[letter] ?? "").join("");
}

/** Of a direction in LPS millimetres. */
function lettersOf(vector: number[]): string {
  const axes = ["LR", "PA", "HF"];
  return vector
    .map((value, axis) => ({ size: Math.abs(value), letter: axes[axis]?.[value > 0 ? 0 : 1] ?? "" }))
    .filter(({ size }) => size > OBLIQUE)
    .sort((a, b) => b.size - a.size)
    .map(({ letter }) => letter)
    .join("");
}
