/** The way from "sign" to the next case. */

import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Refused } from "../api.ts";
import { lastFilters } from "../app/nextCase.ts";
import { queries } from "../app/queries.ts";
import { asks, type Missing } from "./asks.ts";
import type { Content } from "./report.ts";
import type { SignStatus } from "./Signing.tsx";
import { handClaim, noteSigned } from "./useClaim.ts";

interface SigningParts {
  id: string;
  token: number | undefined;
  content: Content | null;
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

export function useSigning({ id, token, content, flush, goesOn, onLost }: SigningParts): Signing {
  const [status, setStatus] = useState<SignStatus>();
  const [needsConfirmation, setNeeds] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const [missing, setMissing] = useState<readonly Missing[]>([]);
  const goOn = useGoOn();

  function refused(reason: unknown) {
    if (!(reason instanceof Refused)) return setError(reason instanceof Error ? reason.message : "");
    if (reason.code === "confirm_first") return setNeeds(true);
    if (reason.code === "claim_lost") return onLost(reason.message);
    if (reason.code === "incomplete") setMissing(missingOf(reason));
    setError(reason.message);
  }

  async function doSign() {
    if (!status || !content || token === undefined || isBusy) return;
    setBusy(true);
    setError(undefined);
    try {
      await flush();
      await asks.sign(id, token, content, status);
      noteSigned(id);
      queries.removeQueries({ queryKey: ["case", id] });
      setStatus(undefined);
      await goOn(goesOn);
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
      setError(reason instanceof Error ? reason.message : "");
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
      if (content) setStatus(wanted);
    },
    close: () => {
      setStatus(undefined);
      setNeeds(false);
    },
    sign: () => void doSign(),
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
  return async (wanted: boolean, afterRelease?: string) => {
    if (!wanted) return navigate({ to: "/worklist" });
    try {
      const { public_id, ...claim } = await asks.next({
        ...givenFilters(),
        ...(afterRelease && { after_release: afterRelease }),
      });
      handClaim(public_id, claim);
      return navigate({ to: "/read/$id", params: { id: public_id } });
    } catch {
      return navigate({ to: "/worklist" });
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
