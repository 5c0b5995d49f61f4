"use strict";
/* Theme, copying, sorting, layers and decisions. No file is loaded. */
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
    const inclusion = document.getElementById("inclusion-data");
    if (inclusion) askForDecisions(JSON.parse(inclusion.textContent));
  });

  function copy(button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    const done = () => {
      const before = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = before; }, 1600);
    };
    const fallback = () => {
      // In some browsers, pages that were opened as files have no clipboard.
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

  /* Who is included: the decisions in the output folder, overridden by clicks on pages. */
  function askForDecisions(page) {
    // Pages of one folder share their clicks.
    const key = `dtg-inclusion:${location.pathname.replace(/[^/]*$/, "")}`;
    const clicked = () => {
      try { return JSON.parse(stored.get(key)) ?? {}; } catch { return {}; }
    };
    let choices = clicked(); // a locked-down browser keeps them only while the page is open
    const decision = (person) => choices[person] === undefined ? page.decided[person] : choices[person];
    // Reasons that were typed on this page, as a row that is scrolled away is drawn anew.
    const typed = {};
    const decide = (person, choice) => {
      choices = { ...choices, ...clicked(), [person]: choice }; // null: no decision
      stored.set(key, JSON.stringify(choices));
      show();
    };
    // Rows of thousands of people are drawn as they are seen, so their buttons come and go.
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-include]");
      if (!button) return;
      const box = button.closest("[data-decision]");
      const person = box.dataset.decision;
      const include = button.dataset.include === "true";
      const same = decision(person)?.include === include;
      typed[person] = box.querySelector("[data-reason]").value;
      decide(person, same ? null : { include, reason: typed[person] });
    });
    document.addEventListener("input", (event) => {
      const reason = event.target.closest("[data-reason]");
      if (!reason) return;
      const person = reason.closest("[data-decision]").dataset.decision;
      typed[person] = reason.value;
      const choice = decision(person);
      if (choice) decide(person, { include: choice.include, reason: reason.value });
    });
    document.addEventListener("dtg-drawn", () => show());
    const button = document.querySelector("[data-download]");
    button.addEventListener("click", () => download(page.file, table()));
    window.addEventListener("storage", () => {
      choices = { ...choices, ...clicked() };
      show();
    });

    function everybody() {
      const names = new Set([...page.people, ...Object.keys(page.decided), ...Object.keys(choices)]);
      return [...names].filter((person) => decision(person)).sort();
    }

    function table() {
      const cell = (text) => text.replace(/[\s"]+/g, " ").trim() || "n/a";
      const rows = everybody().map((person) => {
        const choice = decision(person);
        return [person, String(choice.include), cell(choice.reason)];
      });
      return [page.columns, ...rows].map((row) => `${row.join("\t")}\n`).join("");
    }

    function show() {
      for (const box of document.querySelectorAll("[data-decision]")) {
        const choice = decision(box.dataset.decision);
        for (const option of box.querySelectorAll("[data-include]")) {
          const pressed = Boolean(choice) && String(choice.include) === option.dataset.include;
          option.setAttribute("aria-pressed", String(pressed));
        }
        const reason = box.querySelector("[data-reason]");
        const text = choice ? choice.reason : typed[box.dataset.decision];
        if (text !== undefined && document.activeElement !== reason) reason.value = text;
      }
      const decided = everybody();
      const out = decided.filter((person) => !decision(person).include).length;
      button.disabled = !decided.length;
      document.querySelector("[data-decided]").textContent = decided.length
        ? `${decided.length} decided, ${out} left out` : "No decisions yet.";
    }
    show();
  }

  function download(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  const collator = new Intl.Collator("en", { numeric: true });
  const missing = (value) => value === "" || value === "n/a";

  /* Headings become buttons; a click passes the column and how its values are compared. */
  window.dtgSortable = (heads, sort) => {
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const heading of heads) heading.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        sort(column, (first, second) => compare(first, second, up));
      });
    });
  };

  function compare(first, second, up) {
    // Missing values come last in both directions.
    if (missing(first) || missing(second)) return missing(first) - missing(second);
    const [x, y] = [Number(first), Number(second)];
    const order = Number.isNaN(x) || Number.isNaN(y) ? collator.compare(first, second) : x - y;
    return up ? order : -order;
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    window.dtgSortable([...table.tHead.rows[0].cells], (column, compare) => {
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      body.append(...[...body.rows].sort((first, second) => compare(key(first), key(second))));
    });
  }
})();
