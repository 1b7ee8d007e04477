/** Finds the files in what a person picked or dropped, and tells images from the rest of a CD by their bytes. */

export interface Found {
  name: string;
  file: File;
}

/** `other`: no image; `index`: a DICOMDIR; `unreadable`: the disk or CD gave nothing. */
export type Kind = "image" | "zip" | "other" | "index" | "unreadable";

/** Returns the files of a file input; folders give their path with the name. */
export function pickedFiles(input: HTMLInputElement): Found[] {
  return [...(input.files ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

/** Returns the files of a drop, folders walked to their ends. Must be called inside the drop event. */
export function droppedFiles(transfer: DataTransfer): Promise<Found[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const plain = [...transfer.files].map((file) => ({ name: file.name, file }));
  return entries.length > 0 ? walk(entries) : Promise.resolve(plain);
}

async function walk(entries: readonly FileSystemEntry[]): Promise<Found[]> {
  const found: Found[] = [];
  const waiting = [...entries];
  for (let entry = waiting.shift(); entry; entry = waiting.shift()) {
    if (entry.isDirectory) waiting.push(...(await children(entry as FileSystemDirectoryEntry)));
    else found.push({ name: entry.fullPath.replace(/^\//, ""), file: await fileOf(entry as FileSystemFileEntry) });
  }
  return found;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function children(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

export async function kindOf({ name, file }: Found): Promise<Kind> {
  let head: Uint8Array;
  try {
    head = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  } catch {
    return "unreadable";
  }
  if (name.split("/").at(-1)?.toUpperCase() === "DICOMDIR") return "index";
  if (text(head, 0, 2) === "PK") return "zip";
  const isImage = text(head, 128, 132) === "DICM" || (head[0] === 2 && head[1] === 0 && head[3] === 0);
  return isImage ? "image" : "other";
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.slice(from, to));
}
