/** The films that hang now, so that keys reach the active one and linked ones follow each other. */

import type { Film } from "./film.ts";
import { useViewer } from "./store.ts";
import { presetsOf } from "./windows.ts";

export type PaneNumber = 0 | 1;

const hanging = new Map<PaneNumber, { film: Film; modality: string }>();
let isFollowing = false;

/** Notes which film hangs in a pane; null when it is gone. */
export function setFilm(pane: PaneNumber, film: Film | null, modality = ""): void {
  if (film) hanging.set(pane, { film, modality });
  else hanging.delete(pane);
}

/** Returns the film that keys speak to. */
export function activeFilm(): Film | undefined {
  return (hanging.get(useViewer.getState().activePane) ?? hanging.get(0))?.film;
}

/** Sets a preset of the active film by its number key. */
export function usePresetKey(key: string): void {
  const active = hanging.get(useViewer.getState().activePane) ?? hanging.get(0);
  const preset = active && presetsOf(active.modality).find((one) => one.key === key);
  if (preset) active.film.preset(preset);
}

/** Lets the other film follow when zoom and pan are linked. */
export function leadFrom(pane: PaneNumber): void {
  const { isLinked, activePane } = useViewer.getState();
  if (isFollowing || !isLinked || pane !== activePane) return;
  const view = hanging.get(pane)?.film.view();
  const other = hanging.get(pane === 0 ? 1 : 0)?.film;
  if (!view || !other) return;
  isFollowing = true;
  try {
    other.follow(view);
  } finally {
    isFollowing = false;
  }
}
