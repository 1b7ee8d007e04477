/** Where a picture of the whole image lies on the screen: three corners fix it, turned and flipped ones too. */

export type Point = readonly [number, number];

export interface Corners {
  topLeft: Point;
  topRight: Point;
  bottomLeft: Point;
}

/** a, b, c, d, e, f of CSS `matrix()`: maps (x, y) to (a·x + c·y + e, b·x + d·y + f). */
export type Matrix = readonly [number, number, number, number, number, number];

/** Returns the matrix that lays a picture of `width` × `height` CSS pixels between the corners. */
export function overlayMatrix(corners: Corners, width: number, height: number): Matrix | undefined {
  const { topLeft, topRight, bottomLeft } = corners;
  const matrix: Matrix = [
    (topRight[0] - topLeft[0]) / width,
    (topRight[1] - topLeft[1]) / width,
    (bottomLeft[0] - topLeft[0]) / height,
    (bottomLeft[1] - topLeft[1]) / height,
    topLeft[0],
    topLeft[1],
  ];
  return matrix.every(Number.isFinite) ? matrix : undefined;
}

/** Maps a place of the picture to the screen. */
export function applied(matrix: Matrix, [x, y]: Point): Point {
  const [a, b, c, d, e, f] = matrix;
  return [a * x + c * y + e, b * x + d * y + f];
}

/** Maps a place of the screen back to the picture; undefined when the picture is flat. */
export function inverted(matrix: Matrix, [x, y]: Point): Point | undefined {
  const [a, b, c, d, e, f] = matrix;
  const determinant = a * d - b * c;
  if (determinant === 0) return undefined;
  const [dx, dy] = [x - e, y - f];
  return [(d * dx - c * dy) / determinant, (a * dy - b * dx) / determinant];
}

export interface Pose {
  quarterTurns: 0 | 1 | 2 | 3;
  isMirrored: boolean;
  /** Screen pixels for one image column. */
  zoom: number;
}

/** Reads from a matrix how the image stands: what the warning badge and the zoom figure tell. */
export function pose(matrix: Matrix): Pose {
  const [a, b, c, d] = matrix;
  const isMirrored = a * d - b * c < 0;
  // Mirrored first, then turned: the first column then points the other way.
  const angle = isMirrored ? Math.atan2(-b, -a) : Math.atan2(b, a);
  const turns = ((Math.round(angle / (Math.PI / 2)) % 4) + 4) % 4;
  return { quarterTurns: turns as Pose["quarterTurns"], isMirrored, zoom: Math.hypot(a, b) };
}

/** Returns CSS text. */
export function css(matrix: Matrix): string {
  return `matrix(${matrix.map((value) => Number(value.toFixed(6))).join(", ")})`;
}
