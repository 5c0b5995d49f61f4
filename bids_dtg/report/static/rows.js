"use strict";
/* Tables of thousands of rows: searched, filtered, sorted, and drawn as they are seen. */
(() => {
  const AROUND = 12; // rows that are drawn above and below those that are seen
  const text = (cell) => (typeof cell === "string" ? cell : cell.t);
  const value = (cell) => (typeof cell === "string" ? cell : cell.v ?? cell.t);

  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll("[data-rows]")) show(box);
  });

  function show(box) {
    const status = box.querySelector("[data-shown]");
    const all = window.dtgRows?.[box.dataset.rows];
    if (!all) {
      status.textContent = `${box.dataset.file} is not beside this page, so its rows cannot be shown.`;
      return;
    }
    const scroller = box.querySelector("[data-scroller]");
    const heads = [...box.querySelectorAll("th")];
    const body = box.querySelector("tbody");
    const search = box.querySelector("[data-search]");
    const filter = box.querySelector("[data-filter]");
    let words = null; // of each row, for the search; joined when first needed
    let order = all.map((_, number) => number);
    let rows = order;
    let height = 0;

    function choose() {
      const kind = filter.value;
      const wanted = search.value.trim().toLowerCase();
      words ??= all.map(([, cells]) => cells.map(text).join(" ").toLowerCase());
      rows = order.filter((number) => (!kind || all[number][0] === kind) && words[number].includes(wanted));
      scroller.scrollTop = 0;
      draw();
    }

    function draw() {
      if (!height) {
        body.replaceChildren(...rows.slice(0, 1).map(row));
        height = body.rows[0]?.getBoundingClientRect().height ?? 0;
      }
      const seen = Math.ceil(scroller.clientHeight / (height || 1));
      const first = Math.max(0, Math.min(Math.floor(scroller.scrollTop / (height || 1)) - AROUND, rows.length));
      const drawn = rows.slice(first, first + seen + 2 * AROUND);
      const below = rows.length - first - drawn.length;
      body.replaceChildren(space(first), ...drawn.map(row), space(below));
      // Columns keep their width while other rows are drawn.
      for (const head of heads) head.style.minWidth = `${head.getBoundingClientRect().width}px`;
      const number = (count) => count.toLocaleString("en");
      status.textContent = rows.length === all.length
        ? `${number(all.length)} rows` : `${number(rows.length)} of ${number(all.length)} rows`;
      document.dispatchEvent(new Event("dtg-drawn"));
    }

    function space(count) {
      const line = document.createElement("tr");
      line.className = "space";
      line.style.height = `${count * height}px`;
      return line;
    }

    function row(number) {
      const line = document.createElement("tr");
      line.append(...all[number][1].map((cell, column) => draw_cell(cell, heads[column].className)));
      return line;
    }

    window.dtgSortable(heads, (column, compare) => {
      const keys = all.map(([, cells]) => value(cells[column]));
      order = order.sort((one, other) => compare(keys[one], keys[other]) || one - other);
      choose();
    });
    search.addEventListener("input", choose);
    filter.addEventListener("change", choose);
    let waiting = false;
    const later = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    };
    scroller.addEventListener("scroll", later);
    addEventListener("resize", later);
    draw();
  }

  /* Text is set as text, never as markup. */
  function draw_cell(cell, of_column) {
    const box = document.createElement("td");
    box.className = of_column;
    if (typeof cell === "string") {
      box.textContent = cell;
      box.title = cell;
      return box;
    }
    if (cell.k) box.classList.add(cell.k);
    if (cell.d) {
      const decision = document.getElementById("decision-form").content.firstElementChild.cloneNode(true);
      decision.dataset.decision = cell.d;
      decision.setAttribute("aria-label", `Decision on ${cell.d}`);
      decision.querySelector("[data-reason]").setAttribute("aria-label", `Reason, ${cell.d}`);
      box.append(decision);
      return box;
    }
    box.title = cell.n ?? cell.t;
    if (cell.h) {
      const link = document.createElement("a");
      link.href = cell.h;
      link.textContent = cell.t;
      box.append(link);
    } else box.textContent = cell.t;
    return box;
  }
})();
