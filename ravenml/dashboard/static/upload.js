// Sends a large file in parts, one after the other, and tells how far it is: {name, sent, size} or {problem}.
window.sendInParts = async (file, address, part, tell) => {
  if (!file) return;
  tell({ name: file.name, sent: 0, size: file.size });
  for (let at = 0; at < file.size || at === 0; at += part) {
    let answer;
    try {
      answer = await fetch(`${address}?at=${at}`, { method: "POST", body: file.slice(at, at + part) });
    } catch (error) {
      tell({ problem: "The dashboard does not respond." });
      return;
    }
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({}));
      tell({ problem: said.detail ?? `The dashboard answered ${answer.status}.` });
      return;
    }
    tell({ name: file.name, sent: Math.min(at + part, file.size), size: file.size });
    if (file.size === 0) return;
  }
};
