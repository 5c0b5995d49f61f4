"use strict";
/* Theme, copying, sorting, layers; nothing is fetched. */
(() => {
  const root = document.documentElement;
  const stored = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* a locked-down browser */ } },
  };
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = stored.get("dtg-theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.addEventListener("click", () => {
        root.dataset.theme = dark() ? "light" : "dark";
        stored.set("dtg-theme", root.dataset.theme);
      });
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => copy(button));
    }
    for (const button of document.querySelectorAll("[data-layers]")) {
      button.addEventListener("click", () => {
        const bare = document.getElementById(button.dataset.layers).classList.toggle("bare");
        button.setAttribute("aria-pressed", String(!bare));
      });
    }
    for (const table of document.querySelectorAll("table[data-sortable]")) makeSortable(table);
  });

  function copy(button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    const done = () => {
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1600);
    };
    const fallback = () => {
      // Pages opened as files have no clipboard in some browsers.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
      done();
    };
    if (navigator.clipboard && isSecureContext) navigator.clipboard.writeText(text).then(done, fallback);
    else fallback();
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        sort(table.tBodies[0], column, up);
      });
    });
  }

  function sort(body, column, up) {
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const collator = new Intl.Collator("en", { numeric: true });
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      // What is not there comes last, whichever way.
      if (a === "" || b === "") return (a === "") - (b === "");
      const [x, y] = [Number(a), Number(b)];
      const order = Number.isNaN(x) || Number.isNaN(y) ? collator.compare(a, b) : x - y;
      return up ? order : -order;
    });
    body.append(...rows);
  }
})();
