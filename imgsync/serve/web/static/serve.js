"use strict";
(() => {
  const soon = 300;
  const between = 3000;
  const withoutStream = 10000;
  let refreshing = false;
  let again = false;
  let last = 0;
  let timer = 0;

  // Takes the parts of the page from a new copy of it; what a person types or has in focus stays.
  const replaceParts = (page) => {
    const focused = document.activeElement?.getAttribute("href");
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.getElementById(part.id);
      if (!fresh) continue;
      if (fresh.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(fresh));
    }
    document.title = page.title;
    document.body.dataset.version = page.body.dataset.version;
    document.body.dataset.run = page.body.dataset.run;
    if (focused && document.activeElement === document.body) document.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  };

  const refresh = () => {
    clearTimeout(timer);
    if (refreshing) {
      again = true;
      return;
    }
    refreshing = true;
    last = Date.now();
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.onload = () => {
      if (request.status === 200 && request.responseURL === location.href.split("#")[0] && request.response?.getElementById("main")) replaceParts(request.response);
    };
    request.onloadend = () => {
      refreshing = false;
      if (again) {
        again = false;
        refresh();
      }
    };
    request.send();
  };

  const refreshSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(soon, between - (Date.now() - last)) + Math.random() * soon);
  };

  const showProgress = (run) => {
    const section = document.getElementById("running");
    if (!section || section.hidden) return;
    for (const name of ["headline", "details"]) {
      const place = section.querySelector(`[data-live="${name}"]`);
      if (place) place.textContent = run[name];
    }
    const bar = section.querySelector("progress");
    if (bar && run.total) {
      bar.max = run.total;
      bar.value = run.done;
    }
    const list = section.querySelector('[data-live="images"]');
    list?.replaceChildren(...run.images.map(([name, size]) => {
      const line = document.createElement("li");
      const code = document.createElement("code");
      const count = document.createElement("span");
      code.textContent = name;
      count.textContent = size;
      count.className = "n";
      line.append(code, " ", count);
      return line;
    }));
  };

  const follow = () => {
    if (!document.body.dataset.version || !document.querySelector("[data-part]")) return;
    const stream = new EventSource("/live");
    stream.onmessage = (message) => {
      const state = JSON.parse(message.data);
      const run = state.run?.id ?? "";
      if (String(state.version) !== document.body.dataset.version || run !== document.body.dataset.run) refreshSoon();
      if (state.run) showProgress(state.run);
    };
    stream.onerror = () => {
      // Refused, such as by the limit of streams; otherwise the browser connects again by itself.
      if (stream.readyState === EventSource.CLOSED) setInterval(() => document.hidden || refresh(), withoutStream);
    };
    addEventListener("pagehide", () => stream.close());
  };

  const filter = (form) => {
    let waiting = 0;
    const apply = () => {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, "", query.size ? `${form.getAttribute("action")}?${query}` : form.getAttribute("action"));
      refresh();
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, soon);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      apply();
    });
    form.querySelector("button").hidden = true;
  };

  // What was asked for is said once, not again when the page is loaded again.
  const address = new URL(location.href);
  if (address.searchParams.has("notice")) {
    address.searchParams.delete("notice");
    history.replaceState(null, "", address);
  }

  for (const form of document.querySelectorAll("form[data-filter]")) filter(form);
  follow();
})();
