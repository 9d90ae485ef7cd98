/* Keeps a part of a page up to date: [data-live] is the address, [data-every] milliseconds. Asks only while somebody
   looks; what was opened stays open; a page without scripts shows the same, as of when it was loaded. */
(function () {
  "use strict";
  var box = document.querySelector("[data-live]");
  if (!box || !window.fetch) return;
  var every = Number(box.dataset.every) || 2000, waiting = 0, failures = 0;

  var stamp = function () {
    var part = box.querySelector("[data-stamp]");
    return part ? part.dataset.stamp : "";
  };
  var take = function (html) {
    var open = Array.prototype.map.call(box.querySelectorAll("details"), function (one) { return one.open; });
    var focused = box.contains(document.activeElement);
    if (focused && document.activeElement.tagName !== "BODY") {
      var at = Array.prototype.indexOf.call(box.querySelectorAll("summary, [tabindex]"), document.activeElement);
    }
    box.innerHTML = html;
    Array.prototype.forEach.call(box.querySelectorAll("details"), function (one, n) { one.open = !!open[n]; });
    if (focused && at >= 0) {
      var again = box.querySelectorAll("summary, [tabindex]")[at];
      if (again) again.focus({ preventScroll: true });
    }
  };
  var later = function () {
    clearTimeout(waiting);
    if (!document.hidden) waiting = setTimeout(ask, Math.min(every * Math.pow(2, failures), 60000));
  };
  var ask = function () {
    fetch(box.dataset.live + "?stamp=" + encodeURIComponent(stamp()), { credentials: "same-origin" })
      .then(function (answer) {
        if (answer.redirected || (answer.status !== 200 && answer.status !== 204)) throw new Error(answer.status);
        failures = 0;
        return answer.status === 200 ? answer.text().then(take) : null;
      })
      .catch(function () { failures += 1; })
      .then(later);
  };
  document.addEventListener("visibilitychange", function () { if (document.hidden) clearTimeout(waiting); else ask(); });
  later();
})();
