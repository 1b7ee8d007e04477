/** A dark room: little light, colour only where it means something. */
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const teal: MantineColorsTuple = [
  "#e4f6f9", "#d0e9ee", "#a6d4dd", "#7cc4d2", "#5bb3c4", "#48a7ba", "#3b9fb4", "#2a8a9e", "#1a7b8e", "#006a7c",
];
const dark: MantineColorsTuple = [
  "#dbe3e8", "#b9c5cd", "#93a3ae", "#5f717d", "#35434c", "#222d34", "#172026", "#10161a", "#0a0e11", "#06090b",
];

export const theme = createTheme({
  fontFamily: '"Noto Sans KR Variable", Pretendard, "Noto Sans KR", "Noto Sans CJK KR", "Noto Sans", system-ui, sans-serif',
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  primaryColor: "teal",
  primaryShade: 4,
  autoContrast: true,
  colors: { teal, dark },
  defaultRadius: "sm",
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.125rem" },
  headings: { fontWeight: "600" },
  cursorType: "pointer",
  respectReducedMotion: true,
});
