/** Claims on their way from where they are made to the page that opens the case. */
import { useNavigate } from "@tanstack/react-router";
import { useCallback } from "react";
import { ask, Refused } from "../api.ts";
import { lastFilters } from "./nextCase.ts";

export interface Claim {
  token: number;
  expires_at: number;
  heartbeat_s: number;
}

interface NextCase extends Claim {
  public_id: string;
}

const handed = new Map<string, Claim>();

/** Notes a claim for the page that opens the case: it is not claimed twice on its way to the screen. */
export function handClaim(id: string, claim: Claim): void {
  handed.set(id, claim);
}

/** Returns the claim that was noted for a case, once. */
export function takeHanded(id: string): Claim | undefined {
  const claim = handed.get(id);
  handed.delete(id);
  return claim;
}

const givenBack = new Set<string>();

/** The service has the case back already: a signature or the step to the next case did it. */
export function noteGivenBack(id: string, token: number): void {
  givenBack.add(`${id} ${token}`);
}

export function isGivenBack(id: string, token: number): boolean {
  return givenBack.has(`${id} ${token}`);
}

let isGoing = false;

/** A case that is given back first and does not come again; with its claim, where that still holds. */
export interface Left {
  id: string;
  token: number | undefined;
}

/** Returns how to claim the next free case under the list's filters and open it; throws Refused when none is left. */
export function useNext(): (left?: Left) => Promise<void> {
  const navigate = useNavigate();
  return useCallback(
    async (left) => {
      if (isGoing) return;
      isGoing = true;
      try {
        const { public_id, ...claim } = await askNext(left);
        handClaim(public_id, claim);
        await navigate({ to: "/read/$id", params: { id: public_id } });
      } finally {
        isGoing = false;
      }
    },
    [navigate],
  );
}

async function askNext(left: Left | undefined): Promise<NextCase> {
  const body = { ...lastFilters(), ...(left && { after_release: left.id }) };
  const heard = () => left?.token !== undefined && noteGivenBack(left.id, left.token);
  try {
    const next = await ask<NextCase>("/api/worklist/next", { method: "POST", body, claim: left?.token ?? null });
    heard();
    return next;
  } catch (error) {
    if (error instanceof Refused && error.code === "nothing_left") heard(); // there is no next case, but this one is given back
    throw error;
  }
}
