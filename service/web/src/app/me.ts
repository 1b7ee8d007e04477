/** Who is signed in and what they may do. The service enforces it; here it decides what is offered. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { ask, Refused } from "../api.ts";
import { setServiceTime } from "./clock.ts";
import { changeLanguage, isLanguage } from "./language.ts";
import { queries } from "./queries.ts";

export interface Me {
  public_id: string;
  login: string;
  name: string;
  role: string;
  permissions: string[];
  site: { code: string; name: string; country: string | null; language: string | null; time_zone: string } | null;
  language: string | null;
  time_zone: string | null;
  licence_number: string | null;
  reading_policy: "triage" | "blind" | null;
  preferences: Preferences;
  has_password: boolean;
  has_totp: boolean;
  /** What has to be done before anything else: `set_password`, `set_totp`. */
  must: string[];
  /** Seconds for which a signature needs no fresh password. */
  confirmed_until: number | null;
  sign_in: { password: boolean; oidc: boolean };
  now: number;
}

/** What a person set for themselves; kept by the service, so that it follows them to another machine. */
export interface Preferences {
  /** Action → key, where it differs from the default: `{"worklist.next": "n"}`. */
  keys?: Record<string, string>;
  /** Show the heat map as soon as the first impression is stored. */
  overlay_shown?: boolean;
  overlay_opacity?: number;
  /** Draw with the processor instead of the graphics card. */
  cpu_rendering?: boolean;
  /** Open the next case after signing. */
  go_on?: boolean;
  [other: string]: unknown;
}

export const meOptions = queryOptions({
  queryKey: ["me"],
  queryFn: async (): Promise<Me | null> => {
    try {
      const me = await ask<Me>("/api/me");
      setServiceTime(me.now);
      return me;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

let spokenFor: string | null = null;

/** Returns who is signed in, or null; the page then speaks their language. */
export async function loadMe(): Promise<Me | null> {
  const me = await queries.ensureQueryData(meOptions);
  if (me && spokenFor !== me.public_id) {
    spokenFor = me.public_id;
    if (isLanguage(me.language)) await changeLanguage(me.language);
  }
  return me;
}

/** Who is signed in; only for pages inside the shell. */
export function useMe(): Me {
  const { data } = useQuery(meOptions);
  if (!data) throw new Error("Nobody is signed in.");
  return data;
}

export function forgetMe(): void {
  spokenFor = null;
  queries.clear();
}
