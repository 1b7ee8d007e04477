/** One pane's film: hangs a stack, and does what keys and buttons ask of it. */

import { Enums, getShouldUseCPURendering, type Types, utilities } from "@cornerstonejs/core";
import { annotation, LengthTool } from "@cornerstonejs/tools";
import { addPane, engine, removePane } from "./engine.ts";
import { hasOwnWindow, imageDirections, imageIdsOf, spacingOf } from "./images.ts";
import type { Stack } from "./hanging.ts";
import { type Matrix, overlayMatrix, type Point, type Pose, pose } from "./matrix.ts";
import { type Edges, edgesOf } from "./orientation.ts";
import type { SpacingKind } from "./spacing.ts";
import { type Preset, rangeOf, type Window, windowOf, windowOfValues } from "./windows.ts";

export interface Look {
  /** Maps image columns and rows to CSS pixels of the pane. */
  matrix: Matrix;
  pose: Pose;
  edges: Edges | undefined;
  window: Window;
  isInverted: boolean;
  index: number;
  count: number;
  columns: number;
  rows: number;
  spacing: SpacingKind;
  sopInstanceUid: string;
  isCpu: boolean;
}

const { Events, ViewportType } = Enums;
const WHEEL_ZOOM = 1.1;
const CHANGES = [Events.IMAGE_RENDERED, Events.CAMERA_MODIFIED, Events.VOI_MODIFIED, Events.STACK_NEW_IMAGE];

export class Film {
  private stack: Stack | undefined;
  private own: Window | undefined;
  private chosen: Window | undefined;
  private fitZoom = 1;
  private isGone = false;

  constructor(
    readonly id: string,
    private readonly element: HTMLDivElement,
    private readonly tell: (look: Look | undefined) => void,
  ) {
    engine().enableElement({
      viewportId: id,
      type: ViewportType.STACK,
      element,
      defaultOptions: { background: [0, 0, 0] },
    });
    addPane(id);
    for (const change of CHANGES) element.addEventListener(change, this.told);
    element.addEventListener(Events.STACK_NEW_IMAGE, this.keepWindow);
  }

  /** Shows a stack from its first image, or a middle slice of a volume. */
  async hang(stack: Stack): Promise<void> {
    this.tell(undefined);
    this.stack = stack;
    this.own = this.chosen = undefined;
    const ids = await imageIdsOf(stack);
    if (this.isGone || this.stack !== stack) return;
    const start = stack.isStack && stack.frames.length > 2 ? Math.floor(stack.frames.length / 2) : 0;
    const viewport = this.viewport();
    await viewport.setStack(ids, start);
    if (this.isGone || this.stack !== stack) return;
    this.own = this.ownWindow();
    viewport.setProperties({ voiRange: rangeOf(this.own) });
    viewport.resetCamera();
    viewport.render();
    this.fitZoom = viewport.getZoom();
    this.told();
  }

  /** Draws anew in the pane's present size. */
  resize(): void {
    if (this.isGone || this.element.clientHeight === 0) return; // a pane without height draws black, and says nothing
    engine().resize(true, true);
  }

  preset(preset: Preset): void {
    if (this.own) this.setWindow(windowOf(preset, this.own, this.isInverted()));
  }

  ownWindowAgain(): void {
    if (this.own) this.setWindow(this.own);
  }

  invert(): void {
    this.viewport().setProperties({ invert: !this.isInverted() });
    this.viewport().render();
  }

  turn(quarters: 1 | -1): void {
    const viewport = this.viewport();
    const before = viewport.getViewPresentation().rotation ?? 0;
    viewport.setViewPresentation({ rotation: (before + quarters * 90 + 360) % 360 });
    viewport.render();
  }

  mirror(): void {
    const viewport = this.viewport();
    viewport.setViewPresentation({ flipHorizontal: !viewport.getViewPresentation().flipHorizontal });
    viewport.render();
  }

  /** Everything as it hung at first. */
  reset(): void {
    const viewport = this.viewport();
    viewport.resetProperties();
    viewport.setViewPresentation({ rotation: 0, flipHorizontal: false, flipVertical: false });
    viewport.resetCamera();
    this.ownWindowAgain();
    viewport.render();
  }

  scroll(by: number): void {
    const viewport = this.viewport();
    const to = Math.max(0, Math.min(viewport.getImageIds().length - 1, viewport.getTargetImageIdIndex() + by));
    void viewport.setImageIdIndex(to);
  }

  zoomBy(steps: number): void {
    const viewport = this.viewport();
    viewport.setZoom(viewport.getZoom() * WHEEL_ZOOM ** steps);
    viewport.render();
  }

  /** Zoom and pan as shares of this film's own fit, so that films of other sizes can follow. */
  view(): { zoom: number; pan: Point } | undefined {
    if (!this.stack || this.isGone) return undefined;
    const [x, y] = this.viewport().getPan();
    return { zoom: this.viewport().getZoom() / this.fitZoom, pan: [x, y] };
  }

  follow(view: { zoom: number; pan: Point }): void {
    const now = this.view();
    if (!now || (near(now.zoom, view.zoom) && near(now.pan[0], view.pan[0]) && near(now.pan[1], view.pan[1]))) return;
    const viewport = this.viewport();
    viewport.setZoom(view.zoom * this.fitZoom);
    viewport.setPan([view.pan[0], view.pan[1]]);
    viewport.render();
  }

  /** Removes the measurement that was drawn last. */
  deleteLast(): void {
    const drawn = annotation.state.getAnnotations(LengthTool.toolName, this.element) ?? [];
    const last = drawn[drawn.length - 1];
    if (last?.annotationUID) annotation.state.removeAnnotation(last.annotationUID);
    this.viewport().render();
  }

  close(): void {
    this.isGone = true;
    for (const change of CHANGES) this.element.removeEventListener(change, this.told);
    this.element.removeEventListener(Events.STACK_NEW_IMAGE, this.keepWindow);
    removePane(this.id);
    engine().disableElement(this.id);
  }

  private viewport(): Types.IStackViewport {
    return engine().getViewport(this.id) as Types.IStackViewport;
  }

  private isInverted(): boolean {
    return this.viewport().getProperties().invert ?? false;
  }

  private setWindow(window: Window): void {
    this.chosen = window;
    this.viewport().setProperties({ voiRange: rangeOf(window) });
    this.viewport().render();
  }

  /** CPU drawing forgets the window with each slice. */
  private readonly keepWindow = (): void => {
    const window = this.chosen ?? this.own;
    if (window && getShouldUseCPURendering()) this.viewport().setProperties({ voiRange: rangeOf(window) });
  };

  private ownWindow(): Window {
    const image = this.viewport().getCornerstoneImage();
    if (!hasOwnWindow(image.imageId)) return windowOfValues(image.getPixelData());
    return { center: Number(image.windowCenter), width: Number(image.windowWidth) };
  }

  private readonly told = (): void => {
    if (!this.isGone) this.tell(this.look());
  };

  private look(): Look | undefined {
    const viewport = this.viewport();
    const imageId = viewport?.getCurrentImageId();
    const image = imageId ? viewport.getCornerstoneImage() : undefined;
    if (!imageId || !image || !this.stack || !this.own) return undefined;
    const matrix = this.matrix(viewport, imageId, image);
    if (!matrix) return undefined;
    const range = viewport.getProperties().voiRange ?? rangeOf(this.own);
    const index = viewport.getCurrentImageIdIndex();
    const standing = pose(matrix);
    const directions = imageDirections(imageId);
    return {
      matrix,
      pose: standing,
      edges: directions && edgesOf(directions, standing),
      window: { center: (range.lower + range.upper) / 2, width: range.upper - range.lower },
      isInverted: this.isInverted() !== image.invert,
      index,
      count: this.stack.frames.length,
      columns: image.columns,
      rows: image.rows,
      spacing: spacingOf(imageId).kind,
      sopInstanceUid: this.stack.frames[index]?.instance.sop_instance_uid ?? "",
      isCpu: getShouldUseCPURendering(),
    };
  }

  private matrix(viewport: Types.IStackViewport, imageId: string, image: Types.IImage): Matrix | undefined {
    const at = (x: number, y: number): Point => {
      const world = utilities.imageToWorldCoords(imageId, [x, y]) as Types.Point3;
      const [left, top] = viewport.worldToCanvas(world);
      return [left, top];
    };
    const corners = { topLeft: at(0, 0), topRight: at(image.columns, 0), bottomLeft: at(0, image.rows) };
    return overlayMatrix(corners, image.columns, image.rows);
  }
}

function near(a: number, b: number): boolean {
  return Math.abs(a - b) < 1e-3 * Math.max(1, Math.abs(a));
}
