/** What was asked of the service and is still fresh. */
import { QueryClient } from "@tanstack/react-query";
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
