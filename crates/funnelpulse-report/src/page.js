(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("pictures").textContent);
  const drawn = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const boxes = [...document.querySelectorAll('#filter input[name="severity"]')];
  const search = document.getElementById("search");
  const shown = () => new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const visible = (trace, levels) => !trace.legendgroup || levels.has(trace.legendgroup);

  const colors = () => ({
    "font.color": css("--soft"), "xaxis.gridcolor": css("--line"), "yaxis.gridcolor": css("--line"),
    "xaxis.linecolor": css("--line"), "yaxis.zerolinecolor": css("--line"),
    "hoverlabel.bgcolor": css("--card"), "hoverlabel.bordercolor": css("--line"), "hoverlabel.font.color": css("--ink"),
  });
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 12 };

  const draw = (id, plot, times) => {
    const element = document.getElementById(id);
    if (!element || !plot) return;
    const levels = shown();
    const traces = plot.data.map((trace) => ({
      ...trace, visible: visible(trace, levels), x: trace.x.length || !times ? trace.x : times,
    }));
    const layout = structuredClone(plot.layout);
    layout.font = { ...font };
    for (const [path, value] of Object.entries(colors())) {
      const keys = path.split(".");
      const last = keys.pop();
      keys.reduce((at, key) => (at[key] ??= {}), layout)[last] = value;
    }
    drawn.set(element, traces);
    return Plotly.react(element, traces, layout, plot.config);
  };

  const drawTimeline = (i, metric) => {
    const { start, unit, offsets, plots } = data.timelines[i];
    return draw(`timeline-${i}`, plots[metric], offsets.map((offset) => start + unit * offset));
  };

  const filter = () => {
    const levels = shown();
    const wanted = search.value.trim().toLowerCase();
    const named = (element) => element.dataset.series.toLowerCase().includes(wanted);
    const rows = [...document.querySelectorAll("#anomalies tbody tr")];
    for (const row of rows) row.hidden = !levels.has(row.dataset.severity) || !named(row);
    for (const article of document.querySelectorAll(".timeline")) article.hidden = !named(article);
    const status = document.getElementById("shown");
    const left = rows.filter((row) => !row.hidden).length;
    if (status) status.textContent = left === rows.length ? "" : `${left} of ${rows.length} rows match the filter.`;
    for (const [element, traces] of drawn) {
      Plotly.restyle(element, { visible: traces.map((trace) => visible(trace, levels)) });
      if (element.clientWidth) Plotly.Plots.resize(element);
    }
  };

  const DAY = 86_400_000;
  document.querySelectorAll("#anomalies a[data-time]").forEach((link) => link.addEventListener("click", () => {
    const plot = document.getElementById(link.hash.replace("series", "timeline").slice(1));
    const time = Number(link.dataset.time);
    if (drawn.has(plot)) {
      Plotly.relayout(plot, { "xaxis.range": [time - 3 * DAY, time + 3 * DAY], "yaxis.autorange": true });
    }
  }));
  boxes.forEach((box) => box.addEventListener("change", filter));
  search.addEventListener("input", filter);
  document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("select[data-timeline]").forEach((select) =>
    select.addEventListener("change", () => drawTimeline(Number(select.dataset.timeline), Number(select.value))));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    drawn.forEach((_, element) => Plotly.relayout(element, colors())));

  draw("by-hour", data.by_hour);
  draw("by-series", data.by_series);
  // One after the other, so that the tables can be read while the pictures are drawn.
  const next = (i) => {
    if (i >= data.timelines.length) return;
    drawTimeline(i, 0);
    setTimeout(next, 0, i + 1);
  };
  next(0);
})();
