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
