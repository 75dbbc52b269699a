"use strict";
// Draws every plot of the page, in the colours that the style sheet has now: light, dark, or on paper.
(() => {
  const options = JSON.parse(document.getElementById("plots").textContent);
  const charts = [];

  // The options name colours, and the font, of the style sheet.
  const coloured = (value, style, key) => {
    if (key === "color") return style.getPropertyValue(value).trim();
    if (key === "fontFamily") return style.fontFamily;
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, style, name)]));
  };
  const rounded = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));

  const draw = () => {
    const style = getComputedStyle(document.body);
    for (const { chart, option } of charts) {
      const shown = coloured(option, style);
      const tip = { backgroundColor: style.getPropertyValue("--panel").trim(), valueFormatter: rounded };
      shown.tooltip = { ...shown.tooltip, ...tip, textStyle: shown.textStyle };
      chart.resize();
      chart.setOption(shown, true);
    }
  };

  for (const element of document.querySelectorAll("[data-plot]")) {
    element.style.height = `${element.dataset.height}px`;
    const chart = echarts.init(element, null, { renderer: "svg" });
    charts.push({ chart, option: options[element.dataset.plot] });
    new ResizeObserver(() => chart.resize()).observe(element);
  }
  draw();

  // On paper nobody can open what is closed.
  const closed = [...document.querySelectorAll("details[data-print]:not([open])")];
  addEventListener("beforeprint", () => closed.forEach((details) => (details.open = true)));
  addEventListener("afterprint", () => closed.forEach((details) => (details.open = false)));
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", draw);
})();
