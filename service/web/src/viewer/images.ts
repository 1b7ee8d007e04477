/** Image ids of stacks: fetches their attributes once, cleans them, and hands them to the loader. */

import { cache, Enums, imageLoader } from "@cornerstonejs/core";
import { wadors } from "@cornerstonejs/dicom-image-loader";
import { type DicomJson, TAG, text } from "./dicomJson.ts";
import type { Stack } from "./hanging.ts";
import { directionsOf } from "./orientation.ts";
import { sanitise } from "./sanitise.ts";
import { type Spacing, UNKNOWN } from "./spacing.ts";

interface Known {
  spacing: Spacing;
  directions: { row: string; column: string } | undefined;
  hasWindow: boolean;
}

const known = new Map<string, Known>();
const asked = new Map<string, Promise<void>>();
const MOST_CACHED_BYTES = 1_500_000_000;
const AHEAD = 40;
const LATER = { priority: 10, requestType: Enums.RequestType.Prefetch };

/** Returns the image ids of a stack in order, once everything is known that drawing them needs. */
export async function imageIdsOf(stack: Stack): Promise<string[]> {
  const open = asked.get(stack.id) ?? fetchAttributes(stack);
  asked.set(stack.id, open);
  try {
    await open;
  } catch (error) {
    asked.delete(stack.id);
    throw error;
  }
  return stack.frames.map(({ instance, frame }) => imageIdOf(instance.url, frame));
}

/** Loads a stack's images into the cache, the first ones at once; later calls find them there. */
export async function prefetch(stack: Stack): Promise<void> {
  const ids = await imageIdsOf(stack);
  for (const id of ids.slice(0, AHEAD)) await imageLoader.loadAndCacheImage(id, LATER);
}

/** Returns what a pixel of an image measures. */
export function spacingOf(imageId: string): Spacing {
  return known.get(frameless(imageId))?.spacing ?? UNKNOWN;
}

/** Returns where an image's rows and columns run in the patient, where its header says so. */
export function imageDirections(imageId: string): { row: string; column: string } | undefined {
  return known.get(frameless(imageId))?.directions;
}

/** The sender gave a window, or a table that has one. */
export function hasOwnWindow(imageId: string): boolean {
  return known.get(frameless(imageId))?.hasWindow ?? false;
}

/** Limits what films may take of memory. */
export function limitCache(): void {
  cache.setMaxCacheSize(MOST_CACHED_BYTES);
}

async function fetchAttributes(stack: Stack): Promise<void> {
  const first = stack.frames[0];
  if (!first) return;
  const isWholeSeries = stack.frames.some(({ instance }) => instance !== first.instance);
  const base = isWholeSeries ? first.instance.url.replace(/\/instances\/[^/]+$/, "") : first.instance.url;
  const answer = await fetch(`${base}/metadata`, { headers: { Accept: "application/dicom+json" } });
  if (!answer.ok) throw new Error(`metadata ${answer.status}`);
  const found = new Map(((await answer.json()) as DicomJson[]).map((data) => [text(data, TAG.sopInstanceUid), data]));
  for (const instance of new Set(stack.frames.map((one) => one.instance))) {
    const data = found.get(instance.sop_instance_uid);
    if (data) register(imageIdOf(instance.url, 1), data, instance.spacing);
  }
}

function register(imageId: string, data: DicomJson, spacing: Spacing): void {
  const clean = sanitise(data, spacing);
  wadors.metaDataManager.add(imageId, clean as never);
  known.set(frameless(imageId), {
    spacing,
    directions: directionsOf(data),
    hasWindow: clean[TAG.windowWidth] !== undefined,
  });
}

function imageIdOf(url: string, frame: number): string {
  return `wadors:${new URL(url, location.origin).href}/frames/${frame}`;
}

function frameless(imageId: string): string {
  return imageId.replace(/\/frames\/\d+$/, "");
}
