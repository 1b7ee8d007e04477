// Finds the files in what a person picked or dropped, and tells images from the rest of a CD by their bytes.

/** Returns [{name, file}] of a file input; folders give their path with the name. */
export function pickedFiles(input) {
  return [...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

/** Returns [{name, file}] of a drop, folders walked to their ends. Must be called inside the drop event. */
export function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files].map((file) => ({ name: file.name, file }));
  return entries.length ? walk(entries) : Promise.resolve(plain);
}

async function walk(entries) {
  const found = [];
  const waiting = [...entries];
  while (waiting.length) {
    const entry = waiting.shift();
    if (entry.isDirectory) waiting.push(...(await children(entry)));
    else found.push({ name: entry.fullPath.replace(/^\//, ""), file: await fileOf(entry) });
  }
  return found;
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function children(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
  }
}

/** Tells "image", "zip" or why a file stays here: "other", "index" (a DICOMDIR), "unreadable". */
export async function kindOf({ name, file }) {
  let head;
  try {
    head = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  } catch {
    return "unreadable";
  }
  if (name.split("/").pop().toUpperCase() === "DICOMDIR") return "index";
  if (text(head, 0, 2) === "PK") return "zip";
  const isImage = text(head, 128, 132) === "DICM" || (head[0] === 2 && head[1] === 0 && head[3] === 0);
  return isImage ? "image" : "other";
}

function text(bytes, from, to) {
  return String.fromCharCode(...bytes.slice(from, to));
}
