"use strict";

// Tables: a click on a heading sorts, worst first if there is a better direction; cells without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  table.classList.add("brief");
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const text = heading.dataset.kind === "text";
      const before = heading.getAttribute("aria-sort");
      const first = text || heading.dataset.better === "higher" ? "ascending" : "descending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = before === first ? other : first;
      headings.forEach((one) => one.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * (text ? a.localeCompare(b, undefined, { numeric: true }) : Number(a) - Number(b));
      };
      const rows = [...table.tBodies[0].rows].sort((a, b) => compare(value(a), value(b)));
      table.tBodies[0].append(...rows);
    });
  });
}

for (const box of document.querySelectorAll("[data-all]")) {
  box.addEventListener("change", () => {
    document.getElementById(box.dataset.all).classList.toggle("brief", !box.checked);
  });
}

for (const box of document.querySelectorAll("[data-filter]")) {
  box.addEventListener("input", () => {
    for (const row of document.getElementById(box.dataset.filter).tBodies[0].rows) {
      row.hidden = !row.cells[0].dataset.value.toLowerCase().includes(box.value.toLowerCase());
    }
  });
}

for (const box of document.querySelectorAll("[data-raw]")) {
  const show = () => document.getElementById(box.dataset.raw).classList.toggle("raws", box.checked);
  box.addEventListener("change", show);
  show(); // a reloaded page keeps its checkboxes
}

// Errors: highlight the list entry, circle and close-up of one number together.
for (const article of document.querySelectorAll("article")) {
  const of = (event) => event.target.closest("[data-error]");
  const point = (number) => {
    for (const part of article.querySelectorAll("[data-error]")) {
      part.classList.toggle("pointed", part.dataset.error === number);
    }
    for (const view of article.querySelectorAll(".view")) view.classList.toggle("pointing", number !== null);
  };
  article.addEventListener("mouseover", (event) => point(of(event) ? of(event).dataset.error : null));
  article.addEventListener("mouseleave", () => point(null));
}
