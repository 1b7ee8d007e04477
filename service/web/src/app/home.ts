/** Where each role begins. */
import type { Me } from "./me.ts";

export type Home = "/worklist" | "/center" | "/admin" | "/upload" | "/settings";

export function homeOf(me: Pick<Me, "permissions">): Home {
  const may = (permission: string) => me.permissions.includes(permission);
  if (may("see_worklist")) return "/worklist";
  if (may("see_own_studies")) return "/center";
  if (may("read_audit") || may("manage_accounts") || may("see_problems")) return "/admin";
  return "/settings";
}
