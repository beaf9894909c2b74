// The focus stays where it is when a part of a page is made again: on the new element that stands for the one
// that had it.  The server replaces elements; whoever types or tabs should not notice.
"use strict";

(() => {
  const PATIENCE = 4000; // milliseconds in which the new element may come
  let held = null; // what has the focus, or had it when it was removed
  let lostAt = 0;

  const nameOf = (element) =>
    element.getAttribute("aria-label") || element.labels?.[0]?.textContent.trim() || element.textContent.trim();
  const alike = (one) =>
    [...document.querySelectorAll(one.tag)].filter((element) => nameOf(element) === one.name);

  function hold(element) {
    const one = { element, tag: element.tagName, name: nameOf(element) };
    one.place = alike(one).indexOf(element);
    held = one;
    lostAt = 0;
  }

  document.addEventListener("focusin", (event) => hold(event.target));
  document.addEventListener("pointerdown", () => { if (lostAt) held = null; });
  document.addEventListener("keydown", (event) => { if (held && event.target === held.element) note(); });
  document.addEventListener("focusout", (event) => {
    note();
    // Who leaves an element that stays has gone elsewhere; a removed one is waited for.
    setTimeout(() => {
      if (held?.element === event.target && event.target.isConnected && document.activeElement !== event.target) {
        held = null;
      }
    });
  });

  function note() {
    if (held?.element.selectionStart != null) held.caret = held.element.selectionStart;
  }

  new MutationObserver(() => {
    if (held === null || held.element.isConnected) return;
    lostAt ||= performance.now();
    if (performance.now() - lostAt > PATIENCE) held = null;
    if (held === null || (document.activeElement && document.activeElement !== document.body)) return;
    const found = alike(held);
    const next = found[held.place] || found[0];
    const caret = held.caret;
    if (!next) return;
    next.focus({ preventScroll: true });
    if (caret !== undefined && next.type === "text") next.setSelectionRange(caret, caret);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
