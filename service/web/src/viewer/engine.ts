/** Starts Cornerstone once, and says what the mouse does on every film. */

import { getRenderingEngine, init as startCore, RenderingEngine, utilities } from "@cornerstonejs/core";
import { init as startLoader } from "@cornerstonejs/dicom-image-loader";
import {
  addTool,
  annotation,
  Enums,
  init as startTools,
  LengthTool,
  MagnifyTool,
  PanTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from "@cornerstonejs/tools";
import { spacingOf } from "./images.ts";
import { lengthText, type LengthUnit, measure } from "./spacing.ts";
import type { ToolName } from "./store.ts";

const ENGINE = "films";
const TOOLS = "films";
const { MouseBindings } = Enums;
const NAMES: Record<Exclude<ToolName, "place">, string> = {
  window: WindowLevelTool.toolName,
  pan: PanTool.toolName,
  zoom: ZoomTool.toolName,
  length: LengthTool.toolName,
  magnify: MagnifyTool.toolName,
};
const MAGNIFIED = 3;
const LINE = "rgb(142, 205, 235)";
const LIFTED = "rgb(206, 236, 250)";
const STYLE = {
  color: LINE,
  colorHighlighted: LIFTED,
  colorSelected: LIFTED,
  lineWidth: "1.5",
  textBoxFontFamily: "inherit",
  textBoxFontSize: "13px",
  textBoxColor: LINE,
  textBoxColorHighlighted: LIFTED,
  textBoxColorSelected: LIFTED,
};
const GLASS_PX = 320;

export interface Wording {
  language: string;
  unit: (unit: LengthUnit) => string;
}

let wording: Wording = { language: "en", unit: (unit) => unit };
let started: boolean | undefined;

/** Sets the language of what tools write on the films. */
export function speak(words: Wording): void {
  wording = words;
}

/** Starts everything; later calls do nothing. CPU rendering serves machines whose graphics processor draws wrongly. */
export function startEngine(useCpu: boolean): void {
  if (started !== undefined) return;
  started = useCpu;
  startCore({ rendering: { useCPURendering: useCpu }, debug: {} });
  startLoader({ maxWebWorkers: Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1)) });
  startTools();
  for (const tool of [WindowLevelTool, PanTool, ZoomTool, LengthTool, MagnifyTool]) addTool(tool);
  const styles = annotation.config.style.getDefaultToolStyles();
  annotation.config.style.setDefaultToolStyles({ ...styles, global: { ...styles.global, ...STYLE } });
  makeToolGroup();
}

/** Returns the engine that draws all panes. */
export function engine(): RenderingEngine {
  return (getRenderingEngine(ENGINE) as RenderingEngine | undefined) ?? new RenderingEngine(ENGINE);
}

/** Puts a pane under the tools. */
export function addPane(viewportId: string): void {
  ToolGroupManager.getToolGroup(TOOLS)?.addViewport(viewportId, ENGINE);
}

/** Takes a pane away. */
export function removePane(viewportId: string): void {
  ToolGroupManager.getToolGroup(TOOLS)?.removeViewports(ENGINE, viewportId);
}

/** Says what the first mouse button does. The second zooms, the wheel's pans, whatever the tool is. */
export function useTool(tool: ToolName): void {
  const group = ToolGroupManager.getToolGroup(TOOLS);
  if (!group) return;
  for (const name of Object.values(NAMES)) group.setToolPassive(name, { removeAllBindings: true });
  const bindings = new Map<string, { mouseButton: number }[]>([
    [PanTool.toolName, [{ mouseButton: MouseBindings.Auxiliary }]],
    [ZoomTool.toolName, [{ mouseButton: MouseBindings.Secondary }]],
  ]);
  if (tool !== "place") {
    const name = NAMES[tool];
    bindings.set(name, [...(bindings.get(name) ?? []), { mouseButton: MouseBindings.Primary }]);
  }
  for (const [name, buttons] of bindings) group.setToolActive(name, { bindings: buttons });
}

function makeToolGroup(): void {
  const group = ToolGroupManager.createToolGroup(TOOLS);
  if (!group) return;
  group.addTool(WindowLevelTool.toolName);
  group.addTool(PanTool.toolName);
  group.addTool(ZoomTool.toolName);
  group.addTool(LengthTool.toolName, { getTextLines: lengthLines });
  group.addTool(MagnifyTool.toolName, { magnifySize: MAGNIFIED, magnifyWidth: GLASS_PX, magnifyHeight: GLASS_PX });
  useTool("window");
}

interface Drawn {
  handles: { points: [number, number, number][] };
}

/** Writes a length from our own spacing: what the library would call "mm" may be neither. */
function lengthLines(data: unknown, targetId: string): string[] {
  const imageId = targetId.replace(/^imageId:/, "");
  const [from, to] = (data as Drawn).handles.points.map((point) => utilities.worldToImageCoords(imageId, point));
  if (!from || !to) return [];
  const measured = measure([from[0], from[1]], [to[0], to[1]], spacingOf(imageId));
  return [lengthText(measured, wording.language, wording.unit)];
}
