/** The report of the case being read: its draft is kept by the service while the reader writes. */

import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { Refused } from "../api.ts";
import { refusalWords } from "../app/refusals.ts";
import { asks, type ReportVersion } from "./asks.ts";
import { isUnsaved, NO_REPORT, type ReportState, type ReportStep, reportStep } from "./report.ts";

const QUIET_MS = 1200;

export interface Report {
  state: ReportState;
  versions: readonly ReportVersion[];
  publicId: string | null;
  /** The content follows the verdicts as they are stored now. */
  isFresh: boolean;
  failure: string | undefined;
  edit: (step: ReportStep) => void;
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

  const keep = useCallback(async () => {
    if (token === undefined || !isUnsaved(state) || !state.content) return;
    await asks.draft(id, token, state.content);
    edit({ kind: "saved", content: state.content });
  }, [id, token, state]);

  useEffect(() => {
    if (!isUnsaved(state)) return;
    const timer = setTimeout(() => {
      keep().catch((refused: unknown) => {
        if (refused instanceof Refused && refused.code === "claim_lost") onLost(refusalWords(refused));
      });
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [state, keep, onLost]);

  return {
    state,
    versions: data?.versions ?? [],
    publicId: data?.public_id ?? null,
    isFresh: data !== undefined && !isPlaceholderData && followed === data,
    failure: error ? refusalWords(error) : undefined,
    edit,
  };
}
