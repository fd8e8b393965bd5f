"use strict";
// Draws the charts in the colours of the page as they are now: light, dark or paper; and hands out their data.
(() => {
  const root = document.documentElement;
  const plots = () => [...document.querySelectorAll(".plot")];
  const source = (plot) => document.getElementById(`${plot.id}-data`).textContent;

  // Names of colours become colours.
  function figure(plot) {
    const style = getComputedStyle(root);
    return JSON.parse(source(plot), (_, value) =>
      typeof value === "string" && value.startsWith("--") ? style.getPropertyValue(value).trim() : value);
  }

  // What draw returns without waiting is drawn: paper does not wait.
  function draw(plot, size = {}) {
    const { data, layout } = figure(plot);
    // On a narrow card the names of the axes need room beside the cube.
    const eye = layout.scene && plot.clientWidth < 420 ? layout.scene.camera.eye : {};
    for (const axis of Object.keys(eye)) eye[axis] *= 1.25;
    return Plotly.react(plot, data, { ...layout, ...size, font: { ...layout.font, ...size.font } }, { displayModeBar: false, responsive: true });
  }

  function onPaper(work) {
    root.dataset.paper = "";
    try { return work(); } finally { delete root.dataset.paper; }
  }

  const picture = (parts, size) => Plotly.toImage({ data: parts.data, layout: { ...parts.layout, ...size } },
    { format: "png", scale: 2, width: size.width, height: size.height });

  // Three dimensions are drawn by the graphics card, whose picture does not reach paper: a still does.
  async function keepStill(plot) {
    const still = plot.parentElement.querySelector(".still");
    if (still) still.src = await picture(onPaper(() => figure(plot)), { width: 480, height: 380 });
  }

  function save(name, address) {
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
  }

  function csv(plot) {
    const { data } = figure(plot);
    const cell = (value) => (value === null || value === undefined ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const name = (trace) => trace.name.replaceAll("<sub>", "_").replaceAll("</sub>", "");
    const rows = [];
    if (data[0].type === "scatter3d") {
      rows.push(["path", "w1", "w2", "w3"]);
      for (const trace of data) trace.x.forEach((x, k) => rows.push([name(trace), x, trace.y[k], trace.z[k]]));
    } else {
      rows.push(["curve", "x", "y", "lower", "upper"]);
      let edges = {};
      for (const trace of data) {
        if (trace.meta) edges[trace.meta] = trace.y;
        else {
          const bar = trace.error_y && trace.error_y.array;
          trace.x.forEach((x, k) => rows.push([name(trace), x, trace.y[k],
            bar ? trace.y[k] - bar[k] : edges.low && edges.low[k], bar ? trace.y[k] + bar[k] : edges.high && edges.high[k]]));
          edges = {};
        }
      }
    }
    return rows.map((row) => row.map(cell).join(",") + "\n").join("");
  }

  document.addEventListener("click", async ({ target }) => {
    if (!target.matches("button[data-save]")) return;
    const plot = target.closest("figure").querySelector(".plot");
    if (target.dataset.save === "csv") {
      const address = URL.createObjectURL(new Blob([csv(plot)], { type: "text/csv" }));
      save(`${plot.id}.csv`, address);
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    } else {
      const parts = onPaper(() => figure(plot));
      const legend = { orientation: "h", y: 1.02, yanchor: "bottom" };
      const size = { width: 960, height: 640, showlegend: parts.data.filter((trace) => trace.name).length > 1, legend, paper_bgcolor: "#fff" };
      parts.layout.margin.t = 60;
      save(`${plot.id}.png`, await picture(parts, size));
    }
  });

  const drawAll = () => plots().forEach((plot) => draw(plot));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  // Half of A4 between its margins, less a card's edges.
  addEventListener("beforeprint", () => {
    root.dataset.paper = "";
    plots().filter((plot) => !plot.closest(".space")).forEach((plot) => draw(plot, { width: plot.closest(".card").matches(":has(+ .wide):nth-of-type(odd)") ? 670 : 318, height: 240, font: { size: 11 } }));
  });
  addEventListener("afterprint", () => { delete root.dataset.paper; drawAll(); });

  window.speedlimits = { draw, keepStill, plots };
  addEventListener("DOMContentLoaded", async () => {
    drawAll();
    for (const plot of plots()) await keepStill(plot);
  });
})();
