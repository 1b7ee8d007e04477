/** The way from "sign" to the next case. */

import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Refused } from "../api.ts";
import { type Left, noteGivenBack, useNext } from "../app/claims.ts";
import { useConfirmed } from "../app/Confirm.tsx";
import { queries } from "../app/queries.ts";
import { refusalWords, showRefusal } from "../app/refusals.ts";
import { asks, type Missing } from "./asks.ts";
import { isLost, isOutdated } from "./refused.ts";
import type { Content } from "./report.ts";
import type { SignStatus } from "./Signing.tsx";

interface SigningParts {
  id: string;
  token: number | undefined;
  content: Content | null;
  /** The images that the report is of. */
  revision: number | undefined;
  /** Verdicts are stored and the content follows them: what is on the screen is what gets signed. */
  isSettled: boolean;
  flush: () => Promise<void>;
  goesOn: boolean;
  onLost: (message: string) => void;
  /** The words stand in a signed report now. */
  onSigned: () => void;
}

export interface Signing {
  /** Which sheet is open. */
  status: SignStatus | undefined;
  isBusy: boolean;
  error: string | undefined;
  missing: readonly Missing[];
  open: (status: SignStatus) => void;
  close: () => void;
  sign: () => void;
  /** Gives this case back and opens the next one, or the list when nothing is left. */
  skip: () => Promise<void>;
  /** Asks who sits here when the service wants to know. */
  dialog: ReactNode;
  isAsking: boolean;
}

export function useSigning(parts: SigningParts): Signing {
  const { id, content, flush } = parts;
  const [status, setStatus] = useState<SignStatus>();
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const [missing, setMissing] = useState<readonly Missing[]>([]);
  const { run, dialog, isAsking } = useConfirmed({ isSignature: true });
  const navigate = useNavigate();
  const next = useNext();
  const now = useRef(parts);
  useEffect(() => {
    now.current = parts;
  });

  function refused(reason: unknown) {
    if (isLost(reason)) return parts.onLost(refusalWords(reason));
    const isIncomplete = reason instanceof Refused && reason.code === "incomplete";
    if (isOutdated(reason)) setStatus(undefined);
    if (isIncomplete) setMissing(missingOf(reason));
    if (isIncomplete || isOutdated(reason)) void queries.refetchQueries({ queryKey: ["case", id] });
    setError(refusalWords(reason));
  }

  async function goOn(left?: Left) {
    try {
      await next(left);
    } catch (reason) {
      showRefusal(reason);
      await navigate({ to: "/worklist" });
    }
  }

  /** Signs what the reader agreed to: after the password nothing else may be signed. */
  async function sign(agreed: Content, wanted: SignStatus) {
    const { token, revision, isSettled, goesOn, onSigned } = now.current;
    if (token === undefined || revision === undefined || !isSettled) return;
    if (now.current.content !== agreed) return; // it changed meanwhile: read it again
    setBusy(true);
    setError(undefined);
    try {
      await asks.sign(id, token, { content: agreed, status: wanted, revision });
      await giveBack(id, token, wanted);
    } catch (reason) {
      if (reason instanceof Refused && reason.code === "confirm_first") throw reason;
      return refused(reason);
    } finally {
      setBusy(false);
    }
    onSigned();
    queries.removeQueries({ queryKey: ["case", id] });
    setStatus(undefined);
    if (goesOn) await goOn(wanted === "preliminary" ? { id, token: undefined } : undefined);
    else await navigate({ to: "/worklist" });
  }

  return {
    status,
    isBusy,
    error,
    missing,
    dialog,
    isAsking,
    open: (wanted) => {
      setError(undefined);
      setMissing([]);
      if (!content) return;
      setStatus(wanted);
      flush().catch(refused);
    },
    close: () => setStatus(undefined),
    sign: () => {
      if (content && status && !isBusy) void run(() => sign(content, status));
    },
    skip: () => goOn({ id, token: parts.token }),
  };
}

/** A final signature gives the case back by itself; after a preliminary one somebody else may go on. */
async function giveBack(id: string, claim: number, signed: SignStatus): Promise<void> {
  if (signed === "preliminary") await asks.release(id, claim).catch(() => undefined);
  noteGivenBack(id, claim);
}

function missingOf(reason: Refused): Missing[] {
  const found = reason.detail["missing"];
  return Array.isArray(found) ? (found as Missing[]) : [];
}
