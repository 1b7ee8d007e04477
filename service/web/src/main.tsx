/** Starts the pages: words first, then the routes. */
import "./app/trusted.ts";
import "./app/styles.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { watchActivity } from "./app/activity.ts";
import { Frame } from "./app/Frame.tsx";
import { startWords } from "./app/language.ts";
import { queries } from "./app/queries.ts";
import { router } from "./app/router.tsx";

watchActivity();
await startWords();
createRoot(document.getElementById("root") as HTMLElement).render(
  <QueryClientProvider client={queries}>
    <Frame>
      <RouterProvider router={router} />
    </Frame>
  </QueryClientProvider>,
);
void import("./app/fonts.ts");
