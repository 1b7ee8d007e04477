/** How a film stands in its pane just now: where its pixels are, how it is turned, which greys it shows. */

import { getShouldUseCPURendering, type Types, utilities } from "@cornerstonejs/core";
import type { Stack } from "./hanging.ts";
import { imageDirections, spacingOf } from "./images.ts";
import { type Matrix, overlayMatrix, type Point, type Pose, pose } from "./matrix.ts";
import { type Edges, edgesOf } from "./orientation.ts";
import type { SpacingKind } from "./spacing.ts";
import { rangeOf, type Window, windowOfRange } from "./windows.ts";

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

/** Returns how a pane's film stands; undefined while nothing is drawn. `own` is the window that its sender gave. */
export function lookOf(viewport: Types.IStackViewport | undefined, stack: Stack, own: Window): Look | undefined {
  const imageId = viewport?.getCurrentImageId();
  const image = imageId ? viewport?.getCornerstoneImage() : undefined;
  if (!viewport || !imageId || !image) return undefined;
  const matrix = matrixOf(viewport, imageId, image);
  if (!matrix) return undefined;
  const index = viewport.getCurrentImageIdIndex();
  const standing = pose(matrix);
  const directions = imageDirections(imageId);
  return {
    matrix,
    pose: standing,
    edges: directions && edgesOf(directions, standing),
    window: windowOfRange(viewport.getProperties().voiRange ?? rangeOf(own)),
    isInverted: isInverted(viewport) !== image.invert,
    index,
    count: stack.frames.length,
    columns: image.columns,
    rows: image.rows,
    spacing: spacingOf(imageId).kind,
    sopInstanceUid: stack.frames[index]?.instance.sop_instance_uid ?? "",
    isCpu: getShouldUseCPURendering(),
  };
}

export function isInverted(viewport: Types.IStackViewport): boolean {
  return viewport.getProperties().invert ?? false;
}

/** Returns where a place of the image is in the world; CPU drawing counts from a pixel's corner, not from its middle. */
export function worldOf(imageId: string, x: number, y: number): Types.Point3 {
  const corner = getShouldUseCPURendering() ? 0.5 : 0;
  return utilities.imageToWorldCoords(imageId, [x + corner, y + corner]) as Types.Point3;
}

function matrixOf(viewport: Types.IStackViewport, imageId: string, image: Types.IImage): Matrix | undefined {
  const at = (x: number, y: number): Point => {
    const [left, top] = viewport.worldToCanvas(worldOf(imageId, x, y));
    return [left, top];
  };
  const corners = { topLeft: at(0, 0), topRight: at(image.columns, 0), bottomLeft: at(0, image.rows) };
  return overlayMatrix(corners, image.columns, image.rows);
}
