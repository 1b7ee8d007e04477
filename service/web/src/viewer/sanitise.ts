/** Makes an instance's attributes safe to draw: what senders leave out or get wrong would show a black or false image. */

import { type DicomJson, type Element, firstItem, numbers, TAG, text } from "./dicomJson.ts";
import { type Spacing, usable } from "./spacing.ts";

const FLAT = [1, 0, 0, 0, 1, 0];
const ORIGIN = [0, 0, 0];

/** Returns a copy of the attributes that the viewer draws from.
 *
 * `spacing` is the service's word on what a pixel measures; the file's own Pixel Spacing is never used beside it, so
 * that no spacing at the detector is taken for one in the patient. Enhanced multi-frame objects keep the geometry of
 * their functional groups.
 */
export function sanitise(data: DicomJson, spacing: Spacing): DicomJson {
  const clean: DicomJson = { ...data };
  delete clean[TAG.smallestValue];
  delete clean[TAG.largestValue];
  setGeometry(clean, spacing);
  setRescale(clean);
  setWindow(clean);
  setPolarity(clean);
  return clean;
}

function setGeometry(clean: DicomJson, spacing: Spacing): void {
  const honest = usable(spacing);
  if (clean[TAG.perFrameGroups] !== undefined && honest === undefined) return;
  if (honest) clean[TAG.pixelSpacing] = decimals([honest.row_mm, honest.column_mm]);
  else delete clean[TAG.pixelSpacing];
  const oriented = isOrientation(numbers(clean, TAG.imageOrientation, 6));
  const placed = numbers(clean, TAG.imagePosition, 3) !== undefined;
  if (oriented && placed) return;
  // A projection has no place in the patient. Each image gets a plane of its own, so that a line drawn on one film can
  // never show on another.
  clean[TAG.imageOrientation] = decimals(FLAT);
  clean[TAG.imagePosition] = decimals(ORIGIN);
  const uid = text(clean, TAG.sopInstanceUid);
  if (uid) clean[TAG.frameOfReference] = { vr: "UI", Value: [uid] };
}

function setRescale(clean: DicomJson): void {
  const slope = numbers(clean, TAG.rescaleSlope, 1);
  if (slope === undefined || slope[0] === 0) delete clean[TAG.rescaleSlope];
  if (numbers(clean, TAG.rescaleIntercept, 1) === undefined) delete clean[TAG.rescaleIntercept];
}

/** Keeps the first window that can be drawn; a VOI LUT without a window gives the range that it maps (PS3.3 C.11.2). */
function setWindow(clean: DicomJson): void {
  const found = firstWindow(clean) ?? rangeOfLut(clean);
  delete clean[TAG.voiLutSequence];
  if (found) {
    clean[TAG.windowCenter] = decimals([found.center]);
    clean[TAG.windowWidth] = decimals([found.width]);
  } else {
    delete clean[TAG.windowCenter];
    delete clean[TAG.windowWidth];
  }
}

function firstWindow(data: DicomJson): { center: number; width: number } | undefined {
  const center = Number(data[TAG.windowCenter]?.Value?.[0] ?? Number.NaN);
  const width = Number(data[TAG.windowWidth]?.Value?.[0] ?? Number.NaN);
  return Number.isFinite(center) && Number.isFinite(width) && width >= 1 ? { center, width } : undefined;
}

function rangeOfLut(data: DicomJson): { center: number; width: number } | undefined {
  const item = firstItem(data, TAG.voiLutSequence);
  const descriptor = item && numbers(item, TAG.lutDescriptor, 3);
  if (!descriptor) return undefined;
  const [stored = 0, first = 0] = descriptor;
  const entries = stored || 65536;
  return { center: first + entries / 2, width: entries };
}

/** Inverts once when either attribute says so (PS3.3 C.8.11.3). */
function setPolarity(clean: DicomJson): void {
  if (text(clean, TAG.photometric) === "MONOCHROME2" && text(clean, TAG.presentationLutShape) === "INVERSE") {
    clean[TAG.photometric] = { vr: "CS", Value: ["MONOCHROME1"] };
  }
}

function isOrientation(cosines: number[] | undefined): boolean {
  if (!cosines) return false;
  const [rows, columns] = [cosines.slice(0, 3), cosines.slice(3)];
  const length = (v: number[]) => Math.hypot(...v);
  const dot = rows.reduce((sum, value, index) => sum + value * (columns[index] ?? 0), 0);
  return Math.abs(length(rows) - 1) < 0.01 && Math.abs(length(columns) - 1) < 0.01 && Math.abs(dot) < 0.01;
}

function decimals(values: number[]): Element {
  return { vr: "DS", Value: values };
}
