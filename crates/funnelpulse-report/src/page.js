(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("pictures").textContent);
  const drawn = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const all = (selector) => [...document.querySelectorAll(selector)];
  const boxes = all('#filter input[name="severity"]');
  const search = document.getElementById("search");
  const order = document.getElementById("order");
  const picker = document.getElementById("picker");
  const timelines = all(".timeline");
  const shown = () => new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const visible = (trace, levels) => !trace.legendgroup || levels.has(trace.legendgroup);
  // Timelines that are shown when none is picked.
  const FIRST = 6;

  const colors = () => ({
    "font.color": css("--soft"), "xaxis.gridcolor": css("--line"), "yaxis.gridcolor": css("--line"),
    "xaxis.linecolor": css("--line"), "yaxis.zerolinecolor": css("--line"), "yaxis2.gridcolor": css("--line"),
    "hoverlabel.bgcolor": css("--card"), "hoverlabel.bordercolor": css("--line"), "hoverlabel.font.color": css("--ink"),
  });
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 12 };

  const draw = (id, plot, times, more = { traces: [], layout: {} }) => {
    const element = document.getElementById(id);
    if (!element || !plot) return;
    const levels = shown();
    const traces = [...plot.data, ...more.traces].map((trace) => ({
      ...trace, visible: visible(trace, levels), x: trace.x.length || !times ? trace.x : times,
    }));
    const layout = structuredClone(plot.layout);
    layout.font = { ...font };
    for (const [name, value] of Object.entries(more.layout)) {
      layout[name] = Array.isArray(value) ? value : { ...layout[name], ...value };
    }
    for (const [path, value] of Object.entries(colors())) {
      const keys = path.split(".");
      const last = keys.pop();
      if (keys[0] === "yaxis2" && !layout.yaxis2) continue;
      keys.reduce((at, key) => (at[key] ??= {}), layout)[last] = value;
    }
    drawn.set(element, traces);
    return Plotly.react(element, traces, layout, plot.config);
  };

  // The score below the metric, on the same time, and a band for each incident.
  const track = ({ score, threshold, bands }, times) => {
    const ends = [times[0], times[times.length - 1]];
    const line = { mode: "lines", yaxis: "y2", type: "scatter" };
    return {
      traces: [
        { ...line, x: [], y: score, name: "score", line: { width: 1, color: "#7a5ea8" } },
        { ...line, x: ends, y: [threshold, threshold], name: "threshold", hoverinfo: "skip",
          line: { width: 1, color: "#7a5ea8", dash: "dash" } },
      ],
      layout: {
        yaxis: { domain: [0.27, 1] },
        yaxis2: { domain: [0, 0.2], range: [0, 1.02], nticks: 3, fixedrange: true, zeroline: false, hoverformat: ".2f" },
        xaxis: { anchor: "y2" },
        shapes: bands.map(([x0, x1, severity]) => ({
          type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "below", line: { width: 0 },
          fillcolor: css(`--${severity}`), opacity: 0.16,
        })),
      },
    };
  };

  const drawTimeline = (i, metric = Number(document.querySelector(`select[data-timeline="${i}"]`)?.value ?? 0)) => {
    const { start, unit, offsets, plots } = data.timelines[i];
    const times = offsets.map((offset) => start + unit * offset);
    return draw(`timeline-${i}`, plots[metric], times, track(data.timelines[i], times));
  };

  // Only what is seen is drawn.
  const showTimelines = () => {
    const wanted = search.value.trim().toLowerCase();
    const picked = picker?.value ?? "";
    let left = FIRST;
    timelines.forEach((article, i) => {
      const named = article.dataset.series.toLowerCase().includes(wanted);
      article.hidden = picked === "" ? !named || left-- <= 0 : Number(picked) !== i;
    });
    const next = (i) => {
      if (i >= timelines.length) return;
      const element = document.getElementById(`timeline-${i}`);
      if (timelines[i].hidden || drawn.has(element)) return next(i + 1);
      drawTimeline(i);
      // One after the other, so that the tables can be read while the pictures are drawn.
      setTimeout(next, 0, i + 1);
    };
    next(0);
  };

  const count = (id, elements, word) => {
    const status = document.getElementById(id);
    const left = elements.filter((element) => !element.hidden).length;
    if (status) status.textContent = left === elements.length ? "" : `${left} of ${elements.length} ${word} match the filter.`;
  };

  const filter = () => {
    const levels = shown();
    const wanted = search.value.trim().toLowerCase();
    const matches = (element) =>
      levels.has(element.dataset.severity) && element.dataset.series.toLowerCase().includes(wanted);
    const [rows, cards] = [all("#anomalies tbody tr"), all("article.incident")];
    for (const element of [...rows, ...cards]) element.hidden = !matches(element);
    count("shown", rows, "rows");
    count("shown-incidents", cards, "incidents");
    showTimelines();
    for (const [element, traces] of drawn) {
      Plotly.restyle(element, { visible: traces.map((trace) => visible(trace, levels)) });
      if (element.clientWidth) Plotly.Plots.resize(element);
    }
  };

  const sort = () => {
    const orders = {
      urgency: () => 0,
      // Gains come after what costs nothing.
      losses: (a, b) => Number(a.dataset.change) - Number(b.dataset.change),
      time: (a, b) => Number(b.dataset.time) - Number(a.dataset.time),
    };
    for (const parent of all(".incidents, #anomalies tbody")) {
      const elements = [...parent.children];
      elements.forEach((element, i) => (element.dataset.rank ??= i));
      elements.sort((a, b) => orders[order.value](a, b) || Number(a.dataset.rank) - Number(b.dataset.rank));
      parent.append(...elements);
    }
  };

  // Answers of the reader, kept in this browser where it allows it.
  const place = `funnelpulse ${document.title}`;
  const answers = new Map();
  try {
    JSON.parse(localStorage.getItem(place) ?? "[]").forEach(([key, value]) => answers.set(key, value));
  } catch { /* A page from a file may have no storage. */ }
  const marks = all(".marks");
  const key = (mark) => `${mark.dataset.members} ${mark.dataset.start}`;
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const table = () => {
    const lines = ["series,start,end,verdict"];
    for (const mark of marks) {
      const verdict = answers.get(key(mark));
      if (!verdict) continue;
      const { start, end } = mark.dataset;
      JSON.parse(mark.dataset.members).forEach((series) => lines.push([series, start, end, verdict].map(cell).join(",")));
    }
    return `${lines.join("\n")}\n`;
  };
  const showAnswers = () => {
    for (const mark of marks) {
      for (const button of mark.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(answers.get(key(mark)) === button.value));
      }
    }
    const box = document.getElementById("answers");
    if (!box) return;
    const number = marks.filter((mark) => answers.has(key(mark))).length;
    box.hidden = number === 0;
    box.querySelector("span").textContent = `${number} of ${marks.length} incidents marked.`;
    document.getElementById("export").href = `data:text/csv;charset=utf-8,${encodeURIComponent(table())}`;
  };
  marks.forEach((mark) => mark.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (answers.get(key(mark)) === button.value) answers.delete(key(mark));
    else answers.set(key(mark), button.value);
    try {
      localStorage.setItem(place, JSON.stringify([...answers]));
    } catch { /* They are kept until the page is closed. */ }
    showAnswers();
  }));

  const DAY = 86_400_000;
  all("a[data-time]").forEach((link) => link.addEventListener("click", () => {
    const i = link.hash.slice("#series-".length);
    if (timelines[Number(i)]?.hidden) picker.value = i;
    showTimelines();
    const plot = document.getElementById(`timeline-${i}`);
    const time = Number(link.dataset.time);
    if (!drawn.has(plot)) drawTimeline(Number(i));
    Plotly.relayout(plot, { "xaxis.range": [time - 3 * DAY, time + 3 * DAY], "yaxis.autorange": true });
  }));
  const step = (by) => {
    const options = timelines.length + 1;
    picker.selectedIndex = (picker.selectedIndex + by + options) % options;
    showTimelines();
  };
  boxes.forEach((box) => box.addEventListener("change", filter));
  search.addEventListener("input", () => {
    if (picker) picker.value = "";
    filter();
  });
  order.addEventListener("change", sort);
  picker?.addEventListener("change", showTimelines);
  document.getElementById("previous")?.addEventListener("click", () => step(-1));
  document.getElementById("next")?.addEventListener("click", () => step(1));
  document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
  all("select[data-timeline]").forEach((select) =>
    select.addEventListener("change", () => drawTimeline(Number(select.dataset.timeline))));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    drawn.forEach((_, element) => Plotly.relayout(element, colors())));

  sort();
  showAnswers();
  draw("by-hour", data.by_hour);
  draw("by-series", data.by_series);
  showTimelines();
})();
