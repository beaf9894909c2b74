// What the browser decides about a chart: what is visible of its x axis, when changes reach it, and its colours.
const charts = (() => {
  const ZOOM = { "+": 0.5, "=": 0.5, "-": 2 }; // by how much the visible range shrinks or grows
  const MOVE = { ArrowLeft: -0.2, ArrowRight: 0.2 }; // by which share of it the range moves
  const WHOLE = 1e-7; // percent: less is a rounding error

  const of = (id) => getElement(id)?.chart;
  const slider = (id) => of(id)?.getOption()?.dataZoom?.[1];

  /** What is visible: null for all, else from where to where, and whether up to the newest point. */
  function visible(id) {
    const zoom = slider(id);
    if (!zoom || (zoom.start <= WHOLE && zoom.end >= 100 - WHOLE)) return null;
    return { begin: zoom.startValue, end: zoom.endValue, newest: zoom.end >= 100 - WHOLE };
  }

  /** The setting that keeps what is visible while the axis grows to `last`; who sees the newest point goes on to. */
  function keep(id, last) {
    const now = visible(id);
    const range = now ? { startValue: now.begin, endValue: now.newest ? last : now.end } : { start: 0, end: 100 };
    return [range, range];
  }

  /** Zoom and move by the keys + - ← → 0; they do not scroll the page as well. */
  function press(event, id) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(event.key in ZOOM || event.key in MOVE || event.key === "0")) return;
    event.preventDefault();
    const zoom = slider(id);
    if (!zoom) return;
    const length = event.key === "0" ? 100 : Math.min(100, (zoom.end - zoom.start) * (ZOOM[event.key] ?? 1));
    const middle = (zoom.start + zoom.end) / 2 + length * (MOVE[event.key] ?? 0);
    const start = Math.min(Math.max(0, middle - length / 2), 100 - length);
    of(id).dispatchAction({ type: "dataZoom", dataZoomIndex: 1, start, end: start + length });
  }

  const changes = new Map(); // by element: those that wait for its chart

  /** Change a chart. Changes come in their order, and wait: the browser may still be loading what draws it. */
  function change(id, option, how) {
    const waiting = changes.get(id);
    if (waiting) waiting.push([option, how]);
    else if (of(id)) of(id).setOption(option, how);
    else {
      changes.set(id, [[option, how]]);
      waitForChart(id);
    }
  }

  function waitForChart(id) {
    let looks = 0;
    const timer = setInterval(() => {
      if (!of(id) && ++looks < 6000) return; // ten minutes: a chart that was taken away never comes
      clearInterval(timer);
      for (const one of changes.get(id)) of(id)?.setOption(...one);
      changes.delete(id);
    }, 100);
  }

  return { visible, keep, press, change };
})();

// The charts' colours are those of the page: they are set when a chart is made, and here when the theme changes.
(() => {
  const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  function paint() {
    const axis = {
      axisLabel: { color: colour("--muted") },
      nameTextStyle: { color: colour("--muted") },
      axisLine: { lineStyle: { color: colour("--line") } },
      splitLine: { lineStyle: { color: colour("--line") } },
    };
    const tooltip = {
      backgroundColor: colour("--card"),
      borderColor: colour("--line"),
      textStyle: { color: colour("--ink") },
    };
    for (const element of document.querySelectorAll(".nicegui-echart")) {
      const chart = getElement(element)?.chart;
      const now = chart?.getOption();
      if (!now) continue;
      const zoom = (now.dataZoom ?? []).map((one) =>
        one.type === "slider" ? { fillerColor: colour("--accent-soft"), backgroundColor: colour("--back") } : {},
      );
      chart.setOption({
        tooltip,
        xAxis: (now.xAxis ?? []).map(() => axis),
        yAxis: (now.yAxis ?? []).map(() => axis),
        dataZoom: zoom,
      });
    }
  }

  let theme;
  function look() {
    const dark = document.body.classList.contains("body--dark");
    if (dark === theme) return;
    theme = dark;
    paint();
  }
  document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(look).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  });
})();
