/** What hangs: the study's images, a prior when it is wanted, and what the AI's selected finding lays over them. */

import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { caseOptions } from "../app/nextCase.ts";
import { matching, type Stack, stacksOf } from "../viewer/hanging.ts";
import type { OverlayPicture } from "../viewer/Overlay.tsx";
import { useViewer } from "../viewer/store.ts";
import { currentLanguage } from "../app/language.ts";
import type { CaseView, Prior } from "./types.ts";
import type { VerdictState } from "./verdicts.ts";

export interface Hanging {
  stacks: readonly Stack[];
  shown: Stack | undefined;
  show: (index: number) => void;
  showBy: (by: number) => void;
  /** The prior that hangs beside the film. */
  prior: Prior | undefined;
  hang: (id: string | undefined) => void;
  hangNext: () => void;
  beside: { stack: Stack; prior: Prior | undefined } | undefined;
  canCompare: boolean;
  /** How many films and series of this study have not hung yet. */
  unseen: number;
}

export function useHanging(view: CaseView | undefined): Hanging {
  const [index, setIndex] = useState(0);
  const [priorId, setPriorId] = useState<string>();
  const stacks = useMemo(() => stacksOf(view?.series ?? []), [view?.series]);
  useNewest(stacks, setIndex);
  const columns = useViewer((state) => state.columns);
  const setColumns = useViewer((state) => state.setColumns);
  const listed = view?.priors ?? NONE;
  const priors = useMemo(() => hangable(listed), [listed]);
  const { data: priorView } = useQuery({ ...caseOptions<CaseView>(priorId ?? ""), enabled: priorId !== undefined });

  useEffect(() => {
    // Side by side means the best prior, and the other view of the same study where there is none.
    if (columns === 2 && priorId === undefined && priors[0]) setPriorId(priors[0].public_id);
    if (columns === 1 && priorId !== undefined) setPriorId(undefined);
  }, [columns, priorId, priors]);

  const shown = stacks[index];
  const priorStacks = useMemo(() => stacksOf(priorView?.series ?? []), [priorView?.series]);
  const prior = listed.find((one) => one.public_id === priorId);
  const beside = besideOf(shown, stacks, prior && { prior, stacks: priorStacks });
  return {
    stacks,
    shown,
    show: setIndex,
    showBy: (by) => setIndex((now) => Math.max(0, Math.min(stacks.length - 1, now + by))),
    prior,
    hang: (id) => {
      setPriorId(id);
      setColumns(id === undefined ? 1 : 2);
    },
    hangNext: () => {
      const at = priors.findIndex((one) => one.public_id === priorId);
      const next = priors[(at + 1) % Math.max(1, priors.length)];
      if (!next) return;
      setPriorId(next.public_id);
      setColumns(2);
    },
    beside,
    canCompare: priors.length > 0 || stacks.length > 1,
    unseen: useUnseen(stacks, shown, columns === 2 ? beside?.stack : undefined),
  };
}

/** Counts the stacks that were in no pane since the case was opened. */
function useUnseen(stacks: readonly Stack[], ...hanging: readonly (Stack | undefined)[]): number {
  const hung = useRef(new Set<string>());
  for (const stack of hanging) if (stack) hung.current.add(stack.id);
  return stacks.filter(({ id }) => !hung.current.has(id)).length;
}

/** Images that arrive while the case is read come up by themselves: nobody has looked at them. */
function useNewest(stacks: readonly Stack[], show: (index: number) => void): void {
  const seen = useRef<ReadonlySet<string>>(undefined);
  useEffect(() => {
    if (stacks.length === 0) return;
    const fresh = seen.current ? freshest(seen.current, stacks) : -1;
    seen.current = imagesOf(stacks);
    if (fresh >= 0) show(fresh);
  }, [stacks, show]);
}

function imagesOf(stacks: readonly Stack[]): Set<string> {
  return new Set(stacks.flatMap(({ frames }) => frames.map(({ instance }) => instance.sop_instance_uid)));
}

/** Returns the first stack with an image that was not there before, or -1. */
export function freshest(before: ReadonlySet<string>, stacks: readonly Stack[]): number {
  return stacks.findIndex(({ frames }) => frames.some(({ instance }) => !before.has(instance.sop_instance_uid)));
}

const NONE: readonly Prior[] = [];

/** Returns what may hang by itself, best first: where the identity is in doubt a prior is hung only by hand. */
export function hangable(priors: readonly Prior[]): Prior[] {
  return priors
    .filter((prior) => !prior.identity_doubt)
    .sort(
      (a, b) => Number(b.same_view) - Number(a.same_view) || (a.days_before ?? 1e9) - (b.days_before ?? 1e9),
    );
}

function besideOf(
  shown: Stack | undefined,
  stacks: readonly Stack[],
  old: { prior: Prior; stacks: readonly Stack[] } | undefined,
): Hanging["beside"] {
  if (!shown) return undefined;
  if (old) {
    const stack = matching(shown, old.stacks);
    return stack && { stack, prior: old.prior };
  }
  const other = stacks.find((stack) => stack !== shown);
  return other && { stack: other, prior: undefined };
}

/** Returns what the selected finding lays over its film. */
export function pictureOf(state: VerdictState): OverlayPicture | undefined {
  const selected = state.shown[state.selected];
  if (!selected) return undefined;
  const { finding, instance } = selected;
  return { instance, url: finding.heat_map_url, box: finding.place, name: finding.names[currentLanguage()] };
}
