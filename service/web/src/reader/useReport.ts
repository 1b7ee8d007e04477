/** The report of the case being read: its draft is kept by the service while the reader writes. */

import { useQuery } from "@tanstack/react-query";
import { useBlocker } from "@tanstack/react-router";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { useMe } from "../app/me.ts";
import { refusalWords } from "../app/refusals.ts";
import { asks, type ReportVersion } from "./asks.ts";
import { forgetWords, keepWords, keptWords } from "./kept.ts";
import { isLost } from "./refused.ts";
import { type Content, isUnsaved, NO_REPORT, type ReportState, type ReportStep, reportStep } from "./report.ts";

const QUIET_MS = 1200;

export interface Report {
  state: ReportState;
  versions: readonly ReportVersion[];
  publicId: string | null;
  /** The content follows the verdicts as they are stored now. */
  isFresh: boolean;
  failure: string | undefined;
  edit: (step: ReportStep) => void;
  /** Stores what is not stored yet; throws what the service refuses. */
  flush: () => Promise<void>;
  /** What was written here earlier and never stored. */
  kept: Content | undefined;
  dropKept: () => void;
}

interface ReportParts {
  id: string;
  token: number | undefined;
  /** The impression is stored: before that there is nothing to suggest. */
  isOpen: boolean;
  storedTimes: number;
  revision: number | undefined;
  onLost: (message: string) => void;
}

/** Loads suggestion and draft, follows the verdicts, and keeps the draft. */
export function useReport({ id, token, isOpen, storedTimes, revision, onLost }: ReportParts): Report {
  const [state, edit] = useReducer(reportStep, NO_REPORT);
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ["case-report", id, revision, storedTimes],
    queryFn: () => asks.report(id),
    enabled: isOpen && token !== undefined,
    placeholderData: (before) => before,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const wasOpened = useRef(false);
  const [followed, setFollowed] = useState<typeof data>();

  useEffect(() => {
    if (!data) return;
    if (wasOpened.current) edit({ kind: "suggested", suggestion: data.suggestion });
    else edit({ kind: "opened", draft: data.draft, suggestion: data.suggestion });
    wasOpened.current = true;
    setFollowed(data);
  }, [data]);

  const flush = useCallback(async () => {
    if (token === undefined || !isUnsaved(state) || !state.content) return;
    await asks.draft(id, token, state.content);
    edit({ kind: "saved", content: state.content });
  }, [id, token, state]);

  useEffect(() => {
    if (!isUnsaved(state)) return;
    const timer = setTimeout(() => {
      flush().catch((refused: unknown) => {
        if (isLost(refused)) onLost(refusalWords(refused));
      });
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [state, flush, onLost]);
  useBlocker({ shouldBlockFn: () => false, enableBeforeUnload: () => isUnsaved(state) });

  return {
    state,
    versions: data?.versions ?? [],
    publicId: data?.public_id ?? null,
    isFresh: data !== undefined && !isPlaceholderData && followed === data,
    failure: error ? refusalWords(error) : undefined,
    edit,
    flush,
    ...useKeptWords(id, state),
  };
}

/** Keeps what is written until the service has it, and brings back what it never got. */
function useKeptWords(id: string, state: ReportState) {
  const by = useMe().public_id;
  const [kept, setKept] = useState(() => keptWords(by, id));
  useEffect(() => {
    if (isUnsaved(state) && state.content) keepWords(by, id, state.content);
    else if (state.isEdited && !kept) forgetWords(by, id);
  }, [by, id, state, kept]);
  const isOther = kept !== undefined && state.content !== null && JSON.stringify(kept) !== JSON.stringify(state.content);
  return {
    kept: isOther ? kept : undefined,
    dropKept: useCallback(() => {
      forgetWords(by, id);
      setKept(undefined);
    }, [by, id]),
  };
}
