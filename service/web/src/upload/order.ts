/** What the center asks of the studies that it adds next; kept while it looks at other pages. */
import { create } from "zustand";
import { ask } from "../api.ts";
import { currentLanguage } from "../app/language.ts";
import type { Priority } from "../shapes.ts";

export interface Order {
  question: string;
  history: string;
  priority: Priority;
  language: string;
}

type Form = Omit<Order, "language">;

const EMPTY: Form = { question: "", history: "", priority: "routine" };

export const useOrder = create<Form>(() => EMPTY);

/** Returns what stands on the form now, in the language in which it was typed. */
export function currentOrder(): Order {
  return { ...useOrder.getState(), language: currentLanguage() };
}

/** Clears what files took with them; what was typed since then is meant for the next ones. */
export function takeOrder(taken: Order): void {
  useOrder.setState((now) => ({
    question: now.question === taken.question ? "" : now.question,
    history: now.history === taken.history ? "" : now.history,
    priority: now.priority === taken.priority ? "routine" : now.priority,
  }));
}

/** Stores question and priority with a study; returns whether they are kept. */
export async function keepOrder(study: string, site: string | null, order: Order): Promise<boolean> {
  const { question, history, priority, language } = order;
  try {
    if (question.trim() || history.trim()) {
      const body = { study_instance_uid: study, question: question.trim(), history: history.trim(), language };
      await ask("/api/center/questions", { method: "POST", body });
    }
    if (priority !== "routine") {
      const { public_id } = await ask<{ public_id: string }>(`/api/studies/${study}/arrival`, { query: { site } });
      await ask(`/api/worklist/${public_id}/priority`, { method: "POST", body: { priority } });
    }
    return true;
  } catch {
    return false;
  }
}
