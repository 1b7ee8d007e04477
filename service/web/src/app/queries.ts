/** What was asked of the service and is still fresh. */
import { QueryClient, type QueryKey } from "@tanstack/react-query";
import { Refused } from "../api.ts";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      retry: (tries, error) => !(error instanceof Refused && error.status < 500) && tries < 2,
    },
    mutations: { retry: false },
  },
});

/** Whether the answer is there already: then a clock or an event asks for it again, and not a person. */
export function isAgain(key: QueryKey): boolean {
  return queries.getQueryData(key) !== undefined;
}
