/** The way from "sign" to the next case. */

import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Refused } from "../api.ts";
import { lastFilters } from "../app/nextCase.ts";
import { queries } from "../app/queries.ts";
import { refusalWords } from "../app/refusals.ts";
import { asks, type Missing } from "./asks.ts";
import type { Content } from "./report.ts";
import type { SignStatus } from "./Signing.tsx";
import { handClaim, noteSigned } from "./useClaim.ts";

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
}

export interface Signing {
  /** Which sheet is open. */
  status: SignStatus | undefined;
  needsConfirmation: boolean;
  isBusy: boolean;
  error: string | undefined;
  missing: readonly Missing[];
  open: (status: SignStatus) => void;
  close: () => void;
  sign: () => void;
  confirm: (password: string, code: string) => void;
  /** The person has proved elsewhere who they are. */
  proved: () => void;
  goOn: (afterRelease?: string) => void;
}

export function useSigning(parts: SigningParts): Signing {
  const { id, token, content, revision, isSettled, flush, goesOn, onLost } = parts;
  const [status, setStatus] = useState<SignStatus>();
  const [needsConfirmation, setNeeds] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const [missing, setMissing] = useState<readonly Missing[]>([]);
  const goOn = useGoOn();
  /** What the reader agreed to sign: after the password nothing else may be signed. */
  const agreed = useRef<Content>(null);
  const settled = useRef(isSettled);
  useEffect(() => {
    settled.current = isSettled;
  });

  function refused(reason: unknown) {
    const code = reason instanceof Refused ? reason.code : "";
    if (code === "confirm_first") return setNeeds(true);
    if (code === "claim_lost") return onLost(refusalWords(reason));
    if (code === "new_images") setStatus(undefined);
    if (code === "new_images" || code === "incomplete") void queries.refetchQueries({ queryKey: ["case", id] });
    if (reason instanceof Refused && code === "incomplete") setMissing(missingOf(reason));
    setError(refusalWords(reason));
  }

  /** A final signature gives the case back by itself; after a preliminary one somebody else may go on. */
  async function giveBack(signed: SignStatus, claim: number) {
    if (signed === "preliminary") await asks.release(id, claim).catch(() => undefined);
    noteSigned(id);
  }

  async function store() {
    try {
      await flush();
    } catch (reason) {
      refused(reason);
    }
  }

  async function doSign() {
    if (!status || !content || token === undefined || revision === undefined || isBusy || !settled.current) return;
    if (agreed.current !== content) return setNeeds(false); // it changed meanwhile: read it again
    setBusy(true);
    setError(undefined);
    try {
      await asks.sign(id, token, { content, status, revision });
      await giveBack(status, token);
      queries.removeQueries({ queryKey: ["case", id] });
      setStatus(undefined);
      await goOn(goesOn, status === "preliminary" ? id : undefined);
    } catch (reason) {
      refused(reason);
    } finally {
      setBusy(false);
    }
  }

  async function confirm(password: string, code: string) {
    try {
      setError(undefined);
      await asks.confirm(password, code);
      setNeeds(false);
      await doSign();
    } catch (reason) {
      setError(refusalWords(reason));
    }
  }

  return {
    status,
    needsConfirmation,
    isBusy,
    error,
    missing,
    open: (wanted) => {
      setError(undefined);
      setMissing([]);
      if (!content) return;
      setStatus(wanted);
      void store();
    },
    close: () => {
      setStatus(undefined);
      setNeeds(false);
    },
    sign: () => {
      agreed.current = content;
      void doSign();
    },
    confirm: (password, code) => void confirm(password, code),
    proved: () => {
      setNeeds(false);
      void doSign();
    },
    goOn: (afterRelease) => void goOn(true, afterRelease),
  };
}

/** Opens the next case that is free under the list's filters, or the list when nothing is left. */
function useGoOn() {
  const navigate = useNavigate();
  const isGoing = useRef(false);
  return async (wanted: boolean, afterRelease?: string) => {
    if (!wanted) return navigate({ to: "/worklist" });
    if (isGoing.current) return;
    isGoing.current = true;
    try {
      const { public_id, ...claim } = await asks.next({
        ...givenFilters(),
        ...(afterRelease && { after_release: afterRelease }),
      });
      handClaim(public_id, claim);
      return navigate({ to: "/read/$id", params: { id: public_id } });
    } catch {
      return navigate({ to: "/worklist" });
    } finally {
      isGoing.current = false;
    }
  };
}

/** The list's filters without those that are open. */
function givenFilters(): Record<string, string> {
  const given = Object.entries(lastFilters()).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return Object.fromEntries(given);
}

function missingOf(reason: Refused): Missing[] {
  const found = reason.detail["missing"];
  return Array.isArray(found) ? (found as Missing[]) : [];
}
