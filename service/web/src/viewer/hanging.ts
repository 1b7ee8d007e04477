/** Which image hangs where: the current frontal film first, beside it its lateral or the same view of a prior. */

import type { CaseInstance, CaseSeries, CaseStack, StackNotice } from "../reader/types.ts";

export interface Stack {
  /** The same for the same images: what the viewer keeps tools and windows under. */
  id: string;
  modality: string;
  description: string | null;
  isStack: boolean;
  /** One entry for each frame, in the order of the slices. */
  frames: { instance: CaseInstance; frame: number }[];
  seriesUid: string;
  /** Why these slices stand apart from the stacks of their series. */
  why: CaseStack["why"];
  /** What is wrong with the stack. */
  notices: readonly StackNotice[];
}

const VOLUMES = new Set(["CT", "MR", "PT", "NM"]);
const ORDER = ["pa", "ap", "frontal", "unknown", "other", "lateral"] as const;

/** Returns what can be hung, best first: a volume's series as its stacks, each radiograph by itself. */
export function stacksOf(series: readonly CaseSeries[]): Stack[] {
  const stacks = series.flatMap((one) =>
    one.stacks?.length || VOLUMES.has(one.modality ?? "") ? volumes(one) : one.instances.map(single(one)),
  );
  return stacks.filter((stack) => stack.frames.length > 0).sort((a, b) => rank(a) - rank(b));
}

/** Returns how a stack's first image was taken. */
export function viewOf(stack: Stack): CaseInstance["view"] {
  return stack.frames[0]?.instance.view ?? "unknown";
}

/** Returns the view as the trade writes it: PA, AP, LAT; nothing where it is not known. */
export function viewLabel(stack: Stack): string {
  return { pa: "PA", ap: "AP", lateral: "LAT", frontal: "", other: "", unknown: "" }[viewOf(stack)];
}

/** The patient faces the detector or the tube. */
export function isFrontal(stack: Stack): boolean {
  return ["pa", "ap", "frontal"].includes(viewOf(stack));
}

/** Returns which stack of a prior hangs beside a current one: the same view, else any frontal one, else the first. */
export function matching(current: Stack, prior: readonly Stack[]): Stack | undefined {
  const same = prior.find((stack) => stack.modality === current.modality && viewOf(stack) === viewOf(current));
  return same ?? prior.find((stack) => isFrontal(stack) === isFrontal(current)) ?? prior[0];
}

/** The service orders slices by where they are, and tells what belongs together; before it has, they stand by number. */
function volumes(series: CaseSeries): Stack[] {
  const seriesUid = series.series_instance_uid;
  const common = { modality: series.modality ?? "", description: series.description, isStack: true, seriesUid };
  if (!series.stacks?.length) {
    return [{ ...common, id: seriesUid, frames: series.instances.flatMap(framesOf), why: null, notices: [] }];
  }
  return series.stacks.map(({ why, notices, slices }, index) => {
    const frames = slices.flatMap(([place, frame]) => {
      const instance = series.instances[place];
      if (!instance) return [];
      return frame === 0 ? framesOf(instance) : [{ instance, frame }];
    });
    return { ...common, id: `${seriesUid}/${index}/${frames.length}`, frames, why, notices };
  });
}

function single(series: CaseSeries): (instance: CaseInstance) => Stack {
  return (instance) => ({
    id: instance.sop_instance_uid,
    modality: series.modality ?? "",
    description: series.description,
    isStack: instance.frames > 1,
    frames: framesOf(instance),
    seriesUid: series.series_instance_uid,
    why: null,
    notices: [],
  });
}

function framesOf(instance: CaseInstance): Stack["frames"] {
  return Array.from({ length: Math.max(1, instance.frames) }, (_, index) => ({ instance, frame: index + 1 }));
}

function rank(stack: Stack): number {
  const size = stack.isStack ? -Math.min(stack.frames.length, 999) / 1000 : 0;
  return ORDER.indexOf(viewOf(stack)) + size;
}
