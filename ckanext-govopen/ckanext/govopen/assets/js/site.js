/* Small behaviours of the pages; every page works without them. No library. */
(function () {
  "use strict";
  var each = function (selector, fn, root) { Array.prototype.forEach.call((root || document).querySelectorAll(selector), fn); };

  /* Menu of the header on a phone. */
  each("[data-burger]", function (button) {
    var nav = document.getElementById(button.getAttribute("aria-controls"));
    button.addEventListener("click", function () {
      var open = nav.toggleAttribute("data-open");
      button.setAttribute("aria-expanded", String(open));
    });
  });

  /* <details class="go-menu">: closes on Escape and on a click elsewhere. */
  document.addEventListener("click", function (event) {
    each("details.go-menu[open]", function (menu) { if (!menu.contains(event.target)) menu.open = false; });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    each("details.go-menu[open]", function (menu) { menu.open = false; menu.querySelector("summary").focus(); });
  });

  /* A row of tabs wider than the window begins where the page stands. */
  each(".go-tabs > [aria-current]", function (tab) {
    var row = tab.parentElement, over = tab.offsetLeft + tab.offsetWidth - row.clientWidth;
    if (over > 0) row.scrollLeft = over + row.clientWidth / 3;
  });

  /* Tabs: role=tablist; arrow keys move, the hash is kept so that a tab can be linked to. */
  each("[role=tablist]", function (list) {
    var tabs = Array.prototype.slice.call(list.querySelectorAll("[role=tab]"));
    var show = function (tab, focus) {
      tabs.forEach(function (other) {
        var on = other === tab;
        other.setAttribute("aria-selected", String(on));
        other.tabIndex = on ? 0 : -1;
        var panel = document.getElementById(other.getAttribute("aria-controls"));
        if (panel) panel.hidden = !on;
      });
      if (focus) tab.focus();
    };
    list.addEventListener("click", function (event) {
      var tab = event.target.closest("[role=tab]");
      if (!tab) return;
      event.preventDefault();
      show(tab);
      if (list.dataset.hash !== undefined) history.replaceState(null, "", "#" + tab.dataset.name);
    });
    list.addEventListener("keydown", function (event) {
      var step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      var at = tabs.indexOf(document.activeElement);
      if (event.key === "Home") { event.preventDefault(); show(tabs[0], true); }
      if (event.key === "End") { event.preventDefault(); show(tabs[tabs.length - 1], true); }
      if (!step || at < 0) return;
      event.preventDefault();
      show(tabs[(at + step + tabs.length) % tabs.length], true);
    });
    var wanted = list.dataset.hash !== undefined && tabs.filter(function (tab) { return "#" + tab.dataset.name === location.hash; })[0];
    show(wanted || tabs.filter(function (tab) { return tab.getAttribute("aria-selected") === "true"; })[0] || tabs[0]);
    if (list.dataset.hash !== undefined) {
      window.addEventListener("hashchange", function () {
        var named = tabs.filter(function (tab) { return "#" + tab.dataset.name === location.hash; })[0];
        if (named) show(named);
      });
    }
  });

  each("[data-panels]", function (panels) { panels.setAttribute("data-ready", ""); });

  /* Copy: says aloud that it happened. */
  each("[data-copy]", function (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      var source = document.getElementById(button.dataset.copy) || button.closest(".go-code").querySelector("pre:not([hidden]) code, [role=tabpanel]:not([hidden]) code");
      var text = source.value || source.textContent;
      var done = function () {
        var label = button.querySelector("[data-label]");
        var before = label.textContent;
        label.textContent = button.dataset.done;
        setTimeout(function () { label.textContent = before; }, 1800);
      };
      if (navigator.clipboard && window.isSecureContext) { navigator.clipboard.writeText(text).then(done); return; }
      var area = document.createElement("textarea");
      area.value = text; document.body.appendChild(area); area.select();
      document.execCommand("copy"); area.remove(); done();
    });
  });

  /* Dialogs: [data-opens=id] opens, [data-closes] closes, focus returns. */
  each("[data-opens]", function (button) {
    button.addEventListener("click", function (event) {
      var dialog = document.getElementById(button.dataset.opens);
      if (!dialog || !dialog.showModal) return;
      event.preventDefault();
      dialog.showModal();
      dialog.addEventListener("close", function () { button.focus(); }, { once: true });
    });
  });
  each("dialog [data-closes]", function (button) {
    button.addEventListener("click", function (event) { event.preventDefault(); button.closest("dialog").close(); });
  });

  /* A form is sent once. */
  each("form[data-once]", function (form) {
    form.addEventListener("submit", function (event) {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
    });
  });
  window.addEventListener("pageshow", function () {
    each("form[data-once][data-sent]", function (form) { delete form.dataset.sent; each("[aria-busy]", function (b) { b.removeAttribute("aria-busy"); }, form); });
  });

  /* Selects that act at once (sort). The button beside them is for those without scripts. */
  each("select[data-submit]", function (select) {
    each("[data-noscript]", function (button) { button.hidden = true; }, select.form);
    select.addEventListener("change", function () { select.form.submit(); });
  });

  /* Counter of a limited text. */
  each("textarea[maxlength]", function (area) {
    var counter = document.querySelector('[data-count="' + area.id + '"]');
    if (!counter) return;
    var say = function () { counter.textContent = area.value.length + " / " + area.maxLength; };
    area.addEventListener("input", say);
    say();
  });

  /* Facets: on a phone they are a sheet; wide windows show them open. */
  var sheet = document.querySelector("details.go-facets");
  if (sheet && window.matchMedia("(max-width: 860px)").matches) sheet.open = false;

  /* The summary of errors takes the focus, so that it is read first. */
  var summary = document.querySelector("[data-error-summary]");
  if (summary) summary.focus();

  /* An error about one line of a text leads to that line. */
  each("[data-line]", function (link) {
    link.addEventListener("click", function (event) {
      var area = document.getElementById(link.hash.slice(1)), lines = area && area.value.split("\n"), at = link.dataset.line - 1;
      if (!lines || lines[at] === undefined) return;
      event.preventDefault();
      var start = lines.slice(0, at).join("\n").length + (at > 0 ? 1 : 0);
      area.focus();
      area.setSelectionRange(start, start + lines[at].length);
    });
  });
})();
