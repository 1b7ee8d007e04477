/** One case being read: what was said so far, and that the service keeps it. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { Refused } from "../api.ts";
import { caseOptions } from "../app/nextCase.ts";
import { asks } from "./asks.ts";
import type { CaseView, Impression, Place } from "./types.ts";
import { type Step, UNREAD, verdictsOf, type VerdictState, verdictStep } from "./verdicts.ts";

const QUIET_MS = 500;

export interface Reading {
  view: CaseView | undefined;
  failure: string | undefined;
  state: VerdictState;
  places: readonly Place[];
  /** The impression is on its way to the service, or was refused. */
  impressionError: string | undefined;
  isStoring: boolean;
  give: (impression: Impression) => void;
  point: (place: Place) => void;
  step: (step: Step) => void;
  /** Stores what is not stored yet; throws what the service refuses. */
  flush: () => Promise<void>;
  /** Grows whenever verdicts were stored: the report's suggestion follows them. */
  storedTimes: number;
}

/** Loads a case and keeps impression and verdicts with the service. `token` is the claim's, undefined without one. */
export function useReading(id: string, token: number | undefined, onLost: (message: string) => void): Reading {
  const { data: view, error } = useQuery({ ...caseOptions<CaseView>(id), enabled: token !== undefined });
  useForgotten(id);
  const [state, step] = useReducer(verdictStep, UNREAD);
  const [places, setPlaces] = useState<readonly Place[]>([]);
  const opened = useOpened(view, step, setPlaces);
  const impression = useImpression(id, token, { places, opened, step, onLost });
  const { flush, storedTimes, isUnsaved } = useVerdicts(id, token, { view, state, opened, onLost });
  const point = useCallback((place: Place) => setPlaces((before) => [...before, place]), []);

  return {
    view,
    failure: error?.message,
    state,
    places,
    impressionError: impression.error,
    isStoring: impression.isStoring || isUnsaved,
    give: impression.give,
    point,
    step,
    flush,
    storedTimes,
  };
}

/** A case is asked for anew when it is opened again: by then more was said of it. */
function useForgotten(id: string) {
  const queries = useQueryClient();
  useEffect(() => () => queries.removeQueries({ queryKey: ["case", id] }), [queries, id]);
}

/** Returns when the case came up, and puts what was said of it before back in place, once. */
function useOpened(view: CaseView | undefined, step: (step: Step) => void, setPlaces: (places: Place[]) => void) {
  const opened = useRef(0);
  useEffect(() => {
    if (!view || opened.current) return;
    opened.current = Date.now();
    step(openingOf(view));
    if (view.reading.impression) setPlaces(view.reading.impression.places);
  }, [view, step, setPlaces]);
  return opened;
}

interface ImpressionParts {
  places: readonly Place[];
  opened: { current: number };
  step: (step: Step) => void;
  onLost: (message: string) => void;
}

function useImpression(id: string, token: number | undefined, { places, opened, step, onLost }: ImpressionParts) {
  const [error, setError] = useState<string>();
  const [isStoring, setStoring] = useState(false);
  const queries = useQueryClient();
  const busy = useRef(false);

  async function store(impression: Impression, claim: number) {
    busy.current = true;
    setStoring(true);
    setError(undefined);
    try {
      const body = { impression, places: [...places], seconds: secondsSince(opened.current) };
      const { ai } = await asks.impression(id, claim, body);
      step({ kind: "impression", impression, ai });
      queries.setQueryData<CaseView>(["case", id], (before) => before && { ...before, ai });
    } catch (refused) {
      if (isLost(refused)) onLost(refused.message);
      else setError(refused instanceof Error ? refused.message : "");
    } finally {
      busy.current = false;
      setStoring(false);
    }
  }

  return {
    error,
    isStoring,
    give: (impression: Impression) => {
      if (token !== undefined && opened.current && !busy.current) void store(impression, token);
    },
  };
}

interface VerdictParts {
  view: CaseView | undefined;
  state: VerdictState;
  opened: { current: number };
  onLost: (message: string) => void;
}

function useVerdicts(id: string, token: number | undefined, { view, state, opened, onLost }: VerdictParts) {
  const [storedTimes, setStoredTimes] = useState(0);
  const kept = useRef<string>(undefined);
  const content = contentOf(state);
  const latest = useRef({ state, content });
  latest.current = { state, content };
  const sending = useRef<Promise<void>>(Promise.resolve());

  useEffect(() => {
    if (view && kept.current === undefined) kept.current = contentOf(verdictStep(UNREAD, openingOf(view)));
  }, [view]);

  const store = useCallback(async () => {
    const { state: now, content: text } = latest.current;
    if (token === undefined || now.impression === null || text === (kept.current ?? EMPTY)) return;
    await asks.verdicts(id, token, {
      verdicts: verdictsOf(now),
      quality: now.quality,
      ai_visible: now.shown.length > 0 || view?.ai != null,
      seconds: secondsSince(opened.current),
    });
    kept.current = text;
    setStoredTimes((times) => times + 1);
  }, [id, token, view, opened]);

  /** One after the other: a slow answer must not overtake a later one. */
  const flush = useCallback(() => {
    const turn = sending.current.catch(() => undefined).then(store);
    sending.current = turn;
    return turn;
  }, [store]);

  const isUnsaved = state.impression !== null && content !== (kept.current ?? EMPTY);
  useEffect(() => {
    if (!isUnsaved) return;
    const timer = setTimeout(() => {
      flush().catch((refused: unknown) => isLost(refused) && onLost(refused.message));
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [isUnsaved, content, flush, onLost]);

  return { flush, storedTimes, isUnsaved };
}

function openingOf({ ai, reading }: CaseView): Step {
  const { impression, verdicts, quality } = reading;
  return { kind: "opened", ai, impression, verdicts, quality };
}

function contentOf(state: VerdictState): string {
  return JSON.stringify([verdictsOf(state), state.quality]);
}

const EMPTY = contentOf(UNREAD);

function isLost(error: unknown): error is Refused {
  return error instanceof Refused && error.code === "claim_lost";
}

function secondsSince(start: number): number {
  return Math.round((Date.now() - start) / 100) / 10;
}
