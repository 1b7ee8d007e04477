/** One case being read: what was said so far, and that the service keeps it. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { caseOptions } from "../app/nextCase.ts";
import { refusalWords } from "../app/refusals.ts";
import { asks, type ImpressionBody } from "./asks.ts";
import { freePlaces } from "./places.ts";
import { isLost, isOutdated } from "./refused.ts";
import type { CaseView, Impression, Place } from "./types.ts";
import { type Step, UNREAD, verdictsOf, type VerdictState, verdictStep } from "./verdicts.ts";

const QUIET_MS = 500;
const LOOK_AGAIN_MS = 20_000;

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
  /** Takes the last place back; returns false when there is none. */
  unpoint: () => boolean;
  step: (step: Step) => void;
  /** Stores what is not stored yet; throws what the service refuses. */
  flush: () => Promise<void>;
  /** What the service said when verdicts could not be stored. */
  verdictsError: string | undefined;
  /** Images came since the case was opened: the impression is asked for anew. */
  hasNewImages: boolean;
  /** Grows whenever verdicts were stored: the report's suggestion follows them. */
  storedTimes: number;
}

/** Loads a case and keeps impression and verdicts with the service. `token` is the claim's, undefined without one. */
export function useReading(id: string, token: number | undefined, onLost: (message: string) => void): Reading {
  const { view, error } = useCase(id, token !== undefined);
  useForgotten(id);
  const [state, step] = useReducer(verdictStep, UNREAD);
  const [places, setPlaces] = useState<readonly Place[]>([]);
  const opened = useOpened(view, step, setPlaces);
  const hasNewImages = useRenewed(view, step, setPlaces);
  const impression = useImpression(id, token, { places, opened, revision: view?.item.revision, step, onLost });
  const { flush, storedTimes, isUnsaved, error: verdictsError } = useVerdicts(id, token, { view, state, opened, onLost });
  const point = useCallback((place: Place) => setPlaces((before) => [...before, place]), []);
  const unpoint = () => {
    setPlaces((before) => before.slice(0, -1));
    return places.length > 0;
  };

  return {
    view,
    failure: error ? refusalWords(error) : undefined,
    state,
    places,
    impressionError: impression.error,
    verdictsError,
    hasNewImages: hasNewImages && state.impression === null,
    isStoring: impression.isStoring || isUnsaved,
    give: impression.give,
    point,
    unpoint,
    step,
    flush,
    storedTimes,
  };
}

/** The case as it is now: images may still arrive, and the AI may finish, while it is read. */
function useCase(id: string, isHeld: boolean) {
  const wasOpened = useRef(false);
  const { data: view, error } = useQuery({
    ...caseOptions<CaseView>(id),
    queryFn: async () => {
      const answer = await (wasOpened.current ? asks.caseAgain(id) : asks.case(id));
      wasOpened.current = true;
      return answer;
    },
    enabled: isHeld,
    staleTime: 0, // what was fetched ahead is shown at once; the service hears of it that the case is open
    refetchInterval: LOOK_AGAIN_MS,
  });
  return { view, error: view ? null : error };
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
    const given = impressionOf(view);
    if (given) setPlaces(freePlaces(given.places, view.reading.verdicts));
  }, [view, step, setPlaces]);
  return opened;
}

/** Brings later images and AI results into the reading, without the places of before; returns whether images came. */
function useRenewed(view: CaseView | undefined, step: (step: Step) => void, setPlaces: (places: Place[]) => void): boolean {
  const first = useRef<number>(undefined);
  const seen = useRef<CaseView>(undefined);
  useEffect(() => {
    if (!view || view === seen.current) return;
    const before = seen.current;
    seen.current = view;
    const { revision } = view.item;
    first.current ??= revision;
    if (!before) return;
    if (before.item.revision !== revision) setPlaces([]); // they belong to the impression of the earlier images
    step({ kind: "renewed", revision, impression: impressionOf(view), ai: view.ai });
  }, [view, step, setPlaces]);
  return view !== undefined && first.current !== undefined && view.item.revision !== first.current;
}

interface ImpressionParts {
  revision: number | undefined;
  places: readonly Place[];
  opened: { current: number };
  step: (step: Step) => void;
  onLost: (message: string) => void;
}

function useImpression(id: string, token: number | undefined, { places, opened, revision, step, onLost }: ImpressionParts) {
  const [error, setError] = useState<string>();
  const [isStoring, setStoring] = useState(false);
  const queries = useQueryClient();
  const busy = useRef(false);

  async function store(impression: Impression, claim: number, images: number) {
    busy.current = true;
    setStoring(true);
    setError(undefined);
    try {
      const body = { impression, places: [...places], seconds: secondsSince(opened.current), revision: images };
      const { ai } = await asks.impression(id, claim, body);
      await queries.cancelQueries({ queryKey: ["case", id] }); // its answer would be of the time before
      step({ kind: "impression", impression, ai, revision: images });
      queries.setQueryData<CaseView>(["case", id], (before) => before && impressed(before, body, ai));
    } catch (refused) {
      if (isLost(refused)) onLost(refusalWords(refused));
      else setError(refusalWords(refused));
      if (isOutdated(refused)) void queries.refetchQueries({ queryKey: ["case", id] });
    } finally {
      busy.current = false;
      setStoring(false);
    }
  }

  return {
    error,
    isStoring,
    give: (impression: Impression) => {
      if (token === undefined || revision === undefined || !opened.current || busy.current) return;
      void store(impression, token, revision);
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
  const [error, setError] = useState<string>();
  const queries = useQueryClient();
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
    if (token === undefined || now.impression === null || now.revision === null || text === (kept.current ?? EMPTY)) return;
    await asks.verdicts(id, token, {
      verdicts: verdictsOf(now),
      quality: now.quality,
      ai_visible: now.shown.length > 0 || view?.ai != null,
      seconds: secondsSince(opened.current),
      revision: now.revision,
    });
    kept.current = text;
    setError(undefined);
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
      flush().catch((refused: unknown) => {
        if (isLost(refused)) return onLost(refusalWords(refused));
        setError(refusalWords(refused));
        if (isOutdated(refused)) void queries.refetchQueries({ queryKey: ["case", id] });
      });
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [isUnsaved, content, flush, onLost, queries, id]);

  return { flush, storedTimes, isUnsaved, error: isUnsaved ? error : undefined };
}

function openingOf(view: CaseView): Step {
  const { verdicts, quality } = view.reading;
  const impression = impressionOf(view);
  return { kind: "opened", ai: view.ai, impression, revision: view.item.revision, verdicts, quality };
}

/** The impression of the images that are here now; one of fewer images is not it. */
function impressionOf({ reading }: CaseView) {
  return reading.needs_impression ? null : reading.impression;
}

function impressed(view: CaseView, given: ImpressionBody, ai: CaseView["ai"]): CaseView {
  const impression = { impression: given.impression, places: given.places };
  return { ...view, ai, reading: { ...view.reading, impression, needs_impression: false } };
}

function contentOf(state: VerdictState): string {
  return JSON.stringify([verdictsOf(state), state.quality]);
}

const EMPTY = contentOf(UNREAD);

function secondsSince(start: number): number {
  return Math.round((Date.now() - start) / 100) / 10;
}
