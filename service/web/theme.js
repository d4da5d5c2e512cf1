// Light, dark, or as the system has it. Not a module, so that it runs before the first paint.
"use strict";

(() => {
  const themes = ["system", "light", "dark"];
  let theme = "system";

  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };

  try {
    const kept = localStorage.getItem("heed-theme");
    if (themes.includes(kept)) theme = kept;
  } catch { /* storage is switched off: the choice lasts as long as the page */ }
  apply();

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => (button.textContent = `Theme: ${theme}`);
    show();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      apply();
      show();
      try {
        localStorage.setItem("heed-theme", theme);
      } catch { /* as above */ }
    });
  });
})();
