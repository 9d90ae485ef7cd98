/* Sizes and checksums of the files of an open table, from the service's listing; asked for when they are first seen. */
(function () {
  "use strict";
  var box = document.querySelector("[data-files]");
  if (!box || !window.fetch) return;
  var tries = 0;

  var size = function (bytes) {
    var units = ["B", "KB", "MB", "GB", "TB"], at = 0;
    while (bytes >= 1000 && at < units.length - 1) { bytes /= 1000; at += 1; }
    return (at && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)) + " " + units[at];
  };
  var show = function (listing) {
    var waiting = false;
    listing.items.forEach(function (item) {
      var row = box.querySelector('[data-format="' + item.format + '"]');
      if (!row) return;
      row.hidden = !item.available;
      waiting = waiting || !!item.preparing;
      row.querySelector("[data-size]").textContent = item.ready ? size(item.size) : item.preparing ? box.dataset.preparing : box.dataset.stream;
      row.querySelector("[data-sha256]").textContent = item.ready ? item.sha256 : "–";
    });
    tries += 1;
    if (waiting && tries < 6) setTimeout(ask, 1500 * tries);
  };
  var ask = function () {
    fetch(box.dataset.files, { credentials: "omit", headers: { Accept: "application/json" } })
      .then(function (answer) { if (!answer.ok) throw new Error(answer.status); return answer.json(); })
      .then(show).catch(function () { /* the links work without */ });
  };
  if (!window.IntersectionObserver) { ask(); return; }
  var seen = new IntersectionObserver(function (entries) {
    if (entries.some(function (one) { return one.isIntersecting; })) { seen.disconnect(); ask(); }
  });
  seen.observe(box);
})();
