/** How the films hang and what the mouse does: shared by toolbar, keys and panes. */

import { create } from "zustand";

export type ToolName = "window" | "pan" | "zoom" | "length" | "magnify" | "place";

export interface ViewerState {
  tool: ToolName;
  columns: 1 | 2;
  isLinked: boolean;
  /** The pane that keys speak to. */
  activePane: 0 | 1;
  overlayOn: boolean;
  /** Until the first film has been drawn nobody has seen anything. */
  firstFilm: "waiting" | "drawn" | "failed";
  overlayOpacity: number;
  setTool: (tool: ToolName) => void;
  settleFilm: (isDrawn: boolean) => void;
  setColumns: (columns: 1 | 2) => void;
  toggleLink: () => void;
  setActivePane: (pane: 0 | 1) => void;
  showOverlay: (on: boolean) => void;
  changeOpacity: (by: number) => void;
  /** A new case: films hang as they do at the start, the overlay as the reader likes it. */
  startCase: (overlayOn: boolean, opacity: number | undefined) => void;
}

export const OPACITY = 0.8;
const LOWEST = 0.1;

export const useViewer = create<ViewerState>((set) => ({
  tool: "window",
  columns: 1,
  isLinked: true,
  activePane: 0,
  overlayOn: false,
  firstFilm: "waiting",
  overlayOpacity: OPACITY,
  setTool: (tool) => set({ tool }),
  settleFilm: (isDrawn) =>
    set((state) => (state.firstFilm === "drawn" ? {} : { firstFilm: isDrawn ? "drawn" : "failed" })),
  setColumns: (columns) => set(columns === 1 ? { columns, activePane: 0 } : { columns }),
  toggleLink: () => set((state) => ({ isLinked: !state.isLinked })),
  setActivePane: (activePane) => set({ activePane }),
  showOverlay: (overlayOn) => set({ overlayOn }),
  changeOpacity: (by) =>
    set((state) => ({
      overlayOpacity: Math.round(10 * Math.min(1, Math.max(LOWEST, state.overlayOpacity + by))) / 10,
    })),
  startCase: (overlayOn, opacity = OPACITY) =>
    set({ firstFilm: "waiting", tool: "window", columns: 1, activePane: 0, overlayOn, overlayOpacity: opacity }),
}));
