/** What the film's keys do. */

import type { Command } from "../reader/keys.ts";
import { activeFilm, usePresetKey } from "./panes.ts";
import { type ToolName, useViewer } from "./store.ts";

const OPACITY_STEP = 0.1;
const TOOL = "tool_";
const PRESET = "preset_";

/** Does a command of the films; returns false when it is none of theirs. */
export function runOnFilm(command: Command): boolean {
  const viewer = useViewer.getState();
  if (command.startsWith(TOOL)) {
    const tool = command.slice(TOOL.length) as ToolName;
    viewer.setTool(viewer.tool === tool ? "window" : tool);
    return true;
  }
  if (command.startsWith(PRESET)) {
    usePresetKey(command.slice(PRESET.length));
    return true;
  }
  const act = ACTS[command];
  act?.();
  return act !== undefined;
}

const ACTS: Partial<Record<Command, () => void>> = {
  own_window: () => activeFilm()?.ownWindowAgain(),
  invert: () => activeFilm()?.invert(),
  turn: () => activeFilm()?.turn(1),
  turn_back: () => activeFilm()?.turn(-1),
  mirror: () => activeFilm()?.mirror(),
  reset: () => activeFilm()?.reset(),
  delete_last: () => activeFilm()?.deleteLast(),
  slice_next: () => activeFilm()?.scroll(1),
  slice_previous: () => activeFilm()?.scroll(-1),
  link: () => useViewer.getState().toggleLink(),
  overlay: () => useViewer.getState().showOverlay(!useViewer.getState().overlayOn),
  overlay_weaker: () => useViewer.getState().changeOpacity(-OPACITY_STEP),
  overlay_stronger: () => useViewer.getState().changeOpacity(OPACITY_STEP),
};
