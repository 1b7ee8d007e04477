/** Places that the reader pointed at, and the boxes that they become. */

import type { CaseInstance, CaseSeries, Place, Verdict } from "./types.ts";

/** Half the width of the box that a pointed place becomes, in image columns. */
const AROUND = 60;

/** Returns the box around a place, inside its image. */
export function boxAround({ x, y }: Place, { columns, rows }: Pick<CaseInstance, "columns" | "rows">): number[] {
  const most = { x: columns ?? Number.POSITIVE_INFINITY, y: rows ?? Number.POSITIVE_INFINITY };
  const inside = (value: number, end: number) => Math.max(0, Math.min(end, value));
  return [
    inside(x - AROUND, most.x), inside(y - AROUND, most.y), inside(x + AROUND, most.x), inside(y + AROUND, most.y),
  ]; // prettier-ignore
}

/** Returns the places that no finding of the reader has taken yet: the next one is offered the last of these. */
export function freePlaces(places: readonly Place[], verdicts: readonly Verdict[]): Place[] {
  const boxes = verdicts.filter((verdict) => verdict.judgement === "missed" && verdict.place);
  return places.filter(({ instance, x, y }) => !boxes.some((taken) => taken.instance === instance && isInside(taken.place, x, y)));
}

function isInside(box: readonly number[] | null | undefined, x: number, y: number): boolean {
  if (!box) return false;
  const [left = 0, top = 0, right = 0, bottom = 0] = box;
  return left <= x && x <= right && top <= y && y <= bottom;
}

/** Returns the image that a place is on. */
export function imageOf(place: Place | undefined, series: readonly CaseSeries[]): CaseInstance | undefined {
  return series.flatMap(({ instances }) => instances).find((one) => one.sop_instance_uid === place?.instance);
}
