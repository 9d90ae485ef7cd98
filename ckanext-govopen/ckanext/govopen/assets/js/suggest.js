/* Suggestions in a search box: a combobox with a list (WAI-ARIA APG). Without this script the box is a plain field. */
(function () {
  "use strict";
  var WAIT_MS = 120, LEAST = 1, number = 0;

  function enhance(box) {
    var input = box.querySelector("input");
    var id = input.id + "-list" + (number += 1);
    var list = document.createElement("ul"), status = document.createElement("div");
    var items = [], chosen = -1, timer = 0, asked = null, typed = input.value, sent = "";

    input.type = "text"; /* a field of type search may not take the role */
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", id);
    list.id = id; list.className = "go-combo__list"; list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", box.dataset.listed);
    status.className = "go-sr"; status.setAttribute("role", "status");
    box.append(list, status);

    function close() {
      list.hidden = true; chosen = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }
    function open() {
      if (!items.length) return;
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
    }
    function mark(at) {
      chosen = at;
      Array.prototype.forEach.call(list.children, function (option, n) {
        option.setAttribute("aria-selected", String(n === at));
        if (n === at) { input.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); }
      });
      if (at < 0) { input.removeAttribute("aria-activedescendant"); input.value = typed; return; }
      input.value = items[at].text;
    }
    function show(found) {
      items = found; list.textContent = "";
      found.forEach(function (item, n) {
        var option = document.createElement("li"), text = document.createElement("span"), kind = document.createElement("small");
        option.id = id + "-" + n; option.setAttribute("role", "option"); option.setAttribute("aria-selected", "false");
        item.parts.forEach(function (part) {
          var piece = document.createElement(part[1] ? "mark" : "span");
          piece.textContent = part[0]; text.appendChild(piece);
        });
        kind.textContent = item.label;
        option.append(text, " ", kind);
        option.addEventListener("mousedown", function (event) { event.preventDefault(); });
        option.addEventListener("click", function () { take(n); });
        list.appendChild(option);
      });
      chosen = -1;
      input.removeAttribute("aria-activedescendant");
      status.textContent = found.length ? box.dataset.told.replace("{n}", found.length) : (typed.trim() ? box.dataset.none : "");
      if (found.length) open(); else close();
    }
    function ask() {
      var text = input.value.trim();
      if (asked) asked.abort();
      if (text.length < LEAST) { sent = ""; show([]); return; }
      if (text === sent) { open(); return; }
      asked = new AbortController();
      fetch(box.dataset.suggest + (box.dataset.suggest.indexOf("?") < 0 ? "?" : "&") + "q=" + encodeURIComponent(text),
        { signal: asked.signal, headers: { Accept: "application/json" }, credentials: "same-origin" })
        .then(function (answer) { return answer.ok ? answer.json() : { items: [] }; })
        .then(function (answer) {
          if (input.value.trim() !== text || document.activeElement !== input) return;
          sent = text; show(answer.items);
        })
        .catch(function () { /* no suggestions: the search itself still works */ });
    }
    function later() { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); }
    function take(at) {
      var item = items[at];
      close();
      input.value = item.text;
      if (item.kind === "dataset") { window.location.assign(item.url); return; }
      if (input.form.requestSubmit) input.form.requestSubmit(); else input.form.submit();
    }

    input.addEventListener("input", function (event) {
      typed = input.value;
      if (!event.isComposing) later();
    });
    input.addEventListener("compositionend", function () { typed = input.value; later(); });
    input.addEventListener("keydown", function (event) {
      if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey) return;
      var shut = list.hidden, last = items.length - 1;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!items.length) { ask(); return; }
        if (shut) open();
        if (event.altKey) return;
        if (event.key === "ArrowDown") mark(chosen === last ? -1 : chosen + 1);
        else mark(chosen === -1 ? last : chosen - 1);
      } else if (event.key === "Enter" && !shut && chosen >= 0) {
        event.preventDefault(); take(chosen);
      } else if (event.key === "Escape") {
        if (!shut) { event.preventDefault(); mark(-1); close(); }
        else if (input.value) { event.preventDefault(); input.value = typed = ""; show([]); }
      } else if (event.key === "Tab") { close(); }
      else if ((event.key === "ArrowLeft" || event.key === "ArrowRight" || event.key === "Home" || event.key === "End") && chosen >= 0) {
        typed = input.value; settle();
      }
    });
    function settle() { /* the caret goes into the text: what was chosen is now what was typed */
      chosen = -1; input.removeAttribute("aria-activedescendant");
      Array.prototype.forEach.call(list.children, function (option) { option.setAttribute("aria-selected", "false"); });
    }
    input.addEventListener("blur", function () { clearTimeout(timer); close(); });
    input.form.addEventListener("submit", function () { clearTimeout(timer); if (asked) asked.abort(); close(); });
  }

  Array.prototype.forEach.call(document.querySelectorAll("[data-suggest]"), enhance);

  /* While an answer is on its way: says so, and dims the old one. */
  var area = document.querySelector("[data-searching]");
  if (!area) return;
  var begin = function () {
    var answer = document.getElementById("answer"), line = answer.querySelector("[role=status]");
    answer.setAttribute("aria-busy", "true");
    if (line) line.textContent = area.dataset.searching;
  };
  var kept = document.querySelector("#answer [role=status]"), words = kept && kept.innerHTML;
  area.addEventListener("click", function (event) {
    var link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (new URL(link.href).pathname === location.pathname) begin();
  });
  Array.prototype.forEach.call(document.querySelectorAll("form.go-bigsearch, form.go-sort, form.go-days"), function (form) {
    form.addEventListener("submit", begin);
  });
  window.addEventListener("pageshow", function (event) {
    if (!event.persisted) return;
    document.getElementById("answer").removeAttribute("aria-busy");
    if (kept) kept.innerHTML = words;
  });
})();
