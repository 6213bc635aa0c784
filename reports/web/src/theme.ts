// Light and dark: the system's choice until the reader makes one.
export function installTheme(): void {
  const button = document.getElementById("theme");
  if (button === null) return;
  const dark = (): boolean => {
    const chosen = document.documentElement.dataset["theme"];
    return chosen === undefined ? window.matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
  };
  const name = (): void => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    document.documentElement.dataset["theme"] = dark() ? "light" : "dark";
    name();
  });
  name();
}
