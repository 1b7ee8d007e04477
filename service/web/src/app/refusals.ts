/** A refusal in the reader's language where we have words for its code; else the service's own sentence. */
import { notifications } from "@mantine/notifications";
import i18next from "i18next";
import { Refused } from "../api.ts";

export function refusalWords(error: unknown): string {
  if (error instanceof Refused) {
    const by = error.detail["claimed_by"];
    const key = `common:refused.${error.code}${typeof by === "string" ? "_by" : ""}`;
    return i18next.exists(key) ? (i18next.t as (key: string, values: object) => string)(key, { name: by }) : error.message;
  }
  return (i18next.t as (key: string) => string)("common:offline");
}

export function showRefusal(error: unknown): void {
  const close = (i18next.t as (key: string) => string)("common:close");
  notifications.show({ color: "red", message: refusalWords(error), closeButtonProps: { "aria-label": close } });
}
