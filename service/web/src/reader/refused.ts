/** What a refusal means for the case on the desk. */

import { Refused } from "../api.ts";

/** Somebody else holds the case now, or nobody. */
export function isLost(error: unknown): error is Refused {
  return error instanceof Refused && error.code === "claim_lost";
}

/** The service has images that were not on the screen. */
export function isOutdated(error: unknown): error is Refused {
  return error instanceof Refused && error.code === "new_images";
}
