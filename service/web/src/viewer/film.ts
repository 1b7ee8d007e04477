/** One pane's film: hangs a stack, and does what keys and buttons ask of it. */

import { Enums, getShouldUseCPURendering, type Types } from "@cornerstonejs/core";
import { annotation, LengthTool } from "@cornerstonejs/tools";
import { addPane, engine, removePane } from "./engine.ts";
import { hasOwnWindow, imageIdsOf } from "./images.ts";
import type { Stack } from "./hanging.ts";
import { fitOf, isNear, type View, viewOf } from "./link.ts";
import { isInverted, type Look, lookOf, worldOf } from "./look.ts";
import { type Preset, rangeOf, type Window, windowOf, windowOfRange, windowOfValues } from "./windows.ts";

/** Panes that have no film yet. */
const empty = new Set<string>();

const { Events, ViewportType } = Enums;
const WHEEL_ZOOM = 1.1;
const RESIZE_TRIES = 20;
const CHANGES = [Events.IMAGE_RENDERED, Events.CAMERA_MODIFIED, Events.VOI_MODIFIED, Events.STACK_NEW_IMAGE];

export class Film {
  private stack: Stack | undefined;
  private own: Window | undefined;
  private chosen: Window | undefined;
  private seen: Look | undefined;
  private isHeld = false;
  private isGone = false;

  constructor(
    readonly id: string,
    private readonly element: HTMLDivElement,
    private readonly tell: (look: Look | undefined, isMissing: boolean) => void,
  ) {
    engine().enableElement({
      viewportId: id,
      type: ViewportType.STACK,
      element,
      defaultOptions: { background: [0, 0, 0] },
    });
    addPane(id);
    empty.add(id);
    for (const change of CHANGES) element.addEventListener(change, this.told);
    element.addEventListener(Events.IMAGE_RENDERED, this.keepWindow);
    element.addEventListener("pointerdown", this.grasp);
    window.addEventListener("pointerup", this.letGo);
  }

  /** Shows a stack from its first image, or a middle slice of a volume; tells when it cannot be had. */
  async hang(stack: Stack): Promise<void> {
    this.tell(undefined, false);
    this.stack = stack;
    this.seen = undefined;
    this.own = this.chosen = undefined;
    try {
      await this.draw(stack);
    } catch {
      if (!this.isGone && this.stack === stack) this.tell(undefined, true);
    }
  }

  private async draw(stack: Stack): Promise<void> {
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
    empty.delete(this.id);
    this.resize();
    this.told();
  }

  /** Draws anew in the pane's present size: what was in the middle stays there, a film that just fitted fits again. */
  resize(tries = RESIZE_TRIES, before = this.view()): void {
    // A pane without height draws black, and says nothing; CPU drawing stumbles over a pane without a film.
    if (this.isGone || this.element.clientHeight === 0) return;
    if (getShouldUseCPURendering() && empty.size > 0) return;
    engine().resize(true, true);
    // The engine passes over a pane while a frame of it is under way.
    if (!this.isFilled() && tries > 0) return void requestAnimationFrame(() => this.resize(tries - 1, before));
    this.told();
    if (before) this.follow(before);
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
    viewport.setCamera({ flipHorizontal: !viewport.getCamera().flipHorizontal });
    viewport.render();
  }

  /** Everything as it hung at first; a film that could not be loaded is asked for again. */
  reset(): void {
    if (!this.own) return void (this.stack && this.hang(this.stack));
    const viewport = this.viewport();
    viewport.resetProperties();
    viewport.setCamera({ flipHorizontal: false, flipVertical: false });
    viewport.setViewPresentation({ rotation: 0 });
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
    const { parallelScale = 1 } = viewport.getCamera();
    viewport.setCamera({ parallelScale: parallelScale / WHEEL_ZOOM ** steps });
    viewport.render();
  }

  /** How far the film is enlarged beyond its fit, and which part of it is in the middle: films of any size can follow. */
  view(): View | undefined {
    return this.seen && !this.isGone ? viewOf(this.seen, this.drawnSize()) : undefined;
  }

  follow(view: View): void {
    const [now, seen] = [this.view(), this.seen];
    if (!now || !seen || isNear(now, view)) return;
    const viewport = this.viewport();
    const camera = viewport.getCamera();
    const { parallelScale = 1, focalPoint = [0, 0, 0], position = [0, 0, 0] } = camera;
    const focus = worldOf(viewport.getCurrentImageId(), view.middle[0] * seen.columns, view.middle[1] * seen.rows);
    const moved = position.map((value, axis) => value + (focus[axis] ?? 0) - (focalPoint[axis] ?? 0)) as Types.Point3;
    const scale = (parallelScale * seen.pose.zoom) / (view.zoom * fitOf(seen, this.drawnSize()));
    viewport.setCamera({ focalPoint: focus, position: moved, parallelScale: scale });
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
    this.element.removeEventListener(Events.IMAGE_RENDERED, this.keepWindow);
    this.element.removeEventListener("pointerdown", this.grasp);
    window.removeEventListener("pointerup", this.letGo);
    empty.delete(this.id);
    removePane(this.id);
    engine().disableElement(this.id);
  }

  /** Of the picture as it was drawn last: a pane may have grown since. */
  private drawnSize(): { clientWidth: number; clientHeight: number } {
    const { width, height } = this.viewport().canvas;
    return { clientWidth: width / devicePixelRatio, clientHeight: height / devicePixelRatio };
  }

  private isFilled(): boolean {
    const canvas = this.element.querySelector("canvas");
    return !canvas || Math.abs(canvas.width - canvas.clientWidth * devicePixelRatio) < 2;
  }

  private viewport(): Types.IStackViewport {
    return engine().getViewport(this.id) as Types.IStackViewport;
  }

  private isInverted(): boolean {
    return isInverted(this.viewport());
  }

  private setWindow(window: Window): void {
    this.chosen = window;
    this.viewport().setProperties({ voiRange: rangeOf(window) });
    this.viewport().render();
  }

  /** CPU drawing forgets the window with each slice. */
  private readonly keepWindow = (): void => {
    const wanted = this.chosen ?? this.own;
    if (!wanted || this.isHeld || !getShouldUseCPURendering()) return;
    const range = this.viewport().getProperties().voiRange;
    if (range && isOther(windowOfRange(range), wanted)) this.setWindow(wanted);
  };

  private readonly grasp = (): void => {
    this.isHeld = true;
  };

  /** What the film shows when the button is let go is what the reader chose. */
  private readonly letGo = (): void => {
    if (!this.isHeld) return;
    this.isHeld = false;
    const range = this.own && this.viewport().getProperties().voiRange;
    if (range) this.chosen = windowOfRange(range);
  };

  private ownWindow(): Window {
    const image = this.viewport().getCornerstoneImage();
    if (!hasOwnWindow(image.imageId)) return windowOfValues(image.getPixelData());
    return { center: Number(image.windowCenter), width: Number(image.windowWidth) };
  }

  private readonly told = (): void => {
    if (this.isGone) return;
    this.seen = this.stack && this.own && lookOf(this.viewport(), this.stack, this.own);
    if (this.own) this.tell(this.seen, false);
  };
}

function isOther(one: Window, other: Window): boolean {
  return Math.abs(one.center - other.center) > 0.5 || Math.abs(one.width - other.width) > 0.5;
}
