/** Reads single values out of the DICOM JSON model (PS3.18 F). */

export interface Element {
  vr: string;
  Value?: unknown[];
  BulkDataURI?: string;
  InlineBinary?: string;
}

export type DicomJson = Record<string, Element>;

export const TAG = {
  sopInstanceUid: "00080018",
  modality: "00080060",
  imagerPixelSpacing: "00181164",
  imagePosition: "00200032",
  imageOrientation: "00200037",
  frameOfReference: "00200052",
  photometric: "00280004",
  pixelSpacing: "00280030",
  smallestValue: "00280106",
  largestValue: "00280107",
  windowCenter: "00281050",
  windowWidth: "00281051",
  rescaleIntercept: "00281052",
  rescaleSlope: "00281053",
  voiLutSequence: "00283010",
  lutDescriptor: "00283002",
  presentationLutShape: "20500020",
  perFrameGroups: "52009230",
  sharedGroups: "52009229",
} as const;

/** Returns an element's values as finite numbers; undefined when there are none or one of them is no number. */
export function numbers(data: DicomJson, tag: string, count?: number): number[] | undefined {
  const values = data[tag]?.Value?.map((value) => (value === null || value === "" ? Number.NaN : Number(value)));
  if (!values?.length || !values.every(Number.isFinite)) return undefined;
  return count === undefined || values.length === count ? values : undefined;
}

/** Returns an element's first value as text. */
export function text(data: DicomJson, tag: string): string | undefined {
  const value = data[tag]?.Value?.[0];
  return typeof value === "string" ? value : undefined;
}

/** Returns the first item of a sequence. */
export function firstItem(data: DicomJson, tag: string): DicomJson | undefined {
  const item = data[tag]?.Value?.[0];
  return typeof item === "object" && item !== null ? (item as DicomJson) : undefined;
}
