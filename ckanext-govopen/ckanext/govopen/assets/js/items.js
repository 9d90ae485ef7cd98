/* Editor of the fields of a catalog entry: a table over the JSON text that the form sends. */
(function () {
  "use strict";
  var area = document.querySelector("textarea[data-items]");
  if (!area) return;
  var setup = JSON.parse(area.dataset.items), words = setup.words, lists = setup.lists;
  var columns = ["name", "title", "type", "grade", "open_attribute", "mask", "description"];
  var items;
  try { items = area.value.trim() ? JSON.parse(area.value) : []; } catch (problem) { return; }
  if (!Array.isArray(items)) return;

  var box = document.createElement("div");
  var wrap = document.createElement("div");
  wrap.className = "go-table-wrap";
  var table = document.createElement("table");
  table.className = "go-table go-table--tight go-table--cards go-items";
  var head = table.createTHead().insertRow();
  columns.concat([""]).forEach(function (column) {
    var th = document.createElement("th");
    th.scope = "col"; th.textContent = words[column] || "";
    head.appendChild(th);
  });
  var body = table.createTBody();
  wrap.appendChild(table);
  box.appendChild(wrap);

  var write = function () { area.value = items.length ? JSON.stringify(items) : ""; };
  /* Which masks there are depends on the type; one that stands there already is kept, whatever it is. */
  var choices = function (item, column) {
    var pairs = column === "mask" ? setup.masks[item.type] || setup.masks.text : lists[column], value = item[column];
    if (!pairs || !value || pairs.some(function (pair) { return pair[0] === value; })) return pairs;
    return pairs.concat([[value, value]]);
  };
  var control = function (item, column, number) {
    var pairs = choices(item, column);
    var element = document.createElement(pairs ? "select" : "input");
    element.className = pairs ? "go-select" : "go-input";
    element.setAttribute("aria-label", words.number.replace("{n}", number) + " " + words[column]);
    if (pairs) {
      element.add(new Option(words.none, ""));
      pairs.forEach(function (pair) { element.add(new Option(pair[1], pair[0])); });
    }
    element.value = item[column] === undefined ? "" : item[column];
    element.addEventListener("input", function () {
      if (element.value === "") delete item[column]; else item[column] = element.value;
      write();
      if (column !== "type") return;
      var cell = element.closest("tr").cells[columns.indexOf("mask")];
      cell.replaceChildren(control(item, "mask", number));
    });
    return element;
  };
  var draw = function () {
    body.textContent = "";
    items.forEach(function (item, at) {
      var row = body.insertRow();
      columns.forEach(function (column) {
        var cell = row.insertCell();
        cell.dataset.label = words[column];
        cell.appendChild(control(item, column, at + 1));
      });
      var remove = document.createElement("button");
      remove.type = "button"; remove.className = "go-link-btn"; remove.textContent = words.remove;
      remove.setAttribute("aria-label", words.remove + " " + words.number.replace("{n}", at + 1));
      remove.addEventListener("click", function () { items.splice(at, 1); write(); draw(); add.focus(); });
      row.insertCell().appendChild(remove);
    });
    wrap.hidden = !items.length;
  };
  var add = document.createElement("button");
  add.type = "button"; add.className = "go-btn go-btn--small"; add.textContent = words.add;
  add.addEventListener("click", function () {
    items.push({ type: "text" });
    write(); draw();
    body.lastElementChild.querySelector("input").focus();
  });
  box.appendChild(add);
  area.hidden = true;
  area.after(box);
  draw();
})();
