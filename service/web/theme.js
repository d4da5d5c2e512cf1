// The theme: light, dark, or that of the system. Not a module, so that it runs before the first paint.
"use strict";

(() => {
  const themes = ["system", "light", "dark"];
  let theme = "system";

  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };

  try {
    const saved = localStorage.getItem("heed-theme");
    if (themes.includes(saved)) theme = saved;
  } catch { /* storage is disabled: the choice lasts until the page is closed */ }
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
