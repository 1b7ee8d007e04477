/** Stands in for xmlbuilder2, which vtk.js imports for file formats that we never read. */
function refuse(): never {
  throw new Error("XML is not read here.");
}

export const create = refuse;
export const convert = refuse;
export const fragment = refuse;
export const createCB = refuse;
export const fragmentCB = refuse;
