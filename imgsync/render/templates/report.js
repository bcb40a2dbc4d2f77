"use strict";
(() => {
  const find = document.querySelector(".find");
  if (!find) return;
  const section = find.closest("section");
  const input = find.querySelector("input");
  const output = find.querySelector("output");
  const folds = [...section.querySelectorAll("details")];
  const mostOpened = 300;
  let rows = null;
  let before = null;

  const read = () => [...section.querySelectorAll("tbody tr")].map((row) => {
    const repository = row.closest(".repository")?.querySelector("code").textContent ?? "";
    const mirror = row.closest(".mirror").querySelector("summary span").textContent;
    return { row, text: `${mirror} ${repository}:${row.cells[0].textContent}`.toLowerCase() };
  });

  const show = () => {
    rows ??= read();
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { row, text } of rows) {
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      found += fits;
    }
    if (words.length) before ??= folds.map((fold) => fold.open);
    folds.forEach((fold, number) => {
      fold.hidden = !fold.querySelector("tbody tr:not([hidden])");
      if (words.length) fold.open = found <= mostOpened;
      else if (before) fold.open = before[number];
    });
    for (const table of section.querySelectorAll(".mirror > table")) table.hidden = !table.querySelector("tbody tr:not([hidden])");
    if (!words.length) before = null;
    output.textContent = words.length ? `${found.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  };

  let frame = 0;
  input.addEventListener("input", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(show);
  });
  find.hidden = false;
})();
