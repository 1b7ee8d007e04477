/** What stands around every page: the look, and the place where notices appear. */
import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import type { ReactNode } from "react";
import { theme } from "./theme.ts";

export function Frame({ children }: { children: ReactNode }) {
  return (
    <MantineProvider theme={theme} forceColorScheme="dark">
      <Notifications position="bottom-right" autoClose={6000} />
      {children}
    </MantineProvider>
  );
}
