/** What two linked films share: how far beyond its fit a film is enlarged, and which part of it is in the middle. */

import { inverted, type Matrix, type Point, type Pose } from "./matrix.ts";

export interface View {
  zoom: number;
  /** Of the film's columns and rows, 0 to 1. */
  middle: Point;
}

interface Seen {
  matrix: Matrix;
  pose: Pose;
  columns: number;
  rows: number;
}

interface Size {
  clientWidth: number;
  clientHeight: number;
}

/** Returns how a film is seen in a pane of this size, free of its own size, so that films of any size can follow. */
export function viewOf(seen: Seen, pane: Size): View | undefined {
  const middle = inverted(seen.matrix, [pane.clientWidth / 2, pane.clientHeight / 2]);
  if (!middle) return undefined;
  return { zoom: seen.pose.zoom / fitOf(seen, pane), middle: [middle[0] / seen.columns, middle[1] / seen.rows] };
}

/** Returns screen pixels for one image column when the whole film just fits. */
export function fitOf({ columns, rows, pose }: Seen, { clientWidth, clientHeight }: Size): number {
  const [width, height] = pose.quarterTurns % 2 ? [rows, columns] : [columns, rows];
  return Math.min(clientWidth / width, clientHeight / height);
}

/** The difference is too small to be seen: nobody needs to follow. */
export function isNear(one: View, other: View): boolean {
  const apart = Math.max(Math.abs(one.middle[0] - other.middle[0]), Math.abs(one.middle[1] - other.middle[1]));
  return apart < 1e-3 && Math.abs(one.zoom / other.zoom - 1) < 1e-3;
}
