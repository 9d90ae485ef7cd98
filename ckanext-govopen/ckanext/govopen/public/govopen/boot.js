/* Runs before the first paint: the reading mode that the visitor chose holds on cached pages too. */
(function () {
  var root = document.documentElement;
  root.classList.add("js-ready");
  var mode = /(?:^|;\s*)govopen_mode=(\w+)/.exec(document.cookie);
  if (mode && mode[1] === "elder") root.setAttribute("data-mode", "elder");
  else root.removeAttribute("data-mode");
})();
