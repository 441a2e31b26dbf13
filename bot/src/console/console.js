// The console works without this file. With it: live messages, answers in place, completion, history, local time.
"use strict";
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  // Only what our own server has drawn and escaped comes through here.
  const parse = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };

  // --- Time: the server says UTC, people read their own clock.
  const localise = (root) => {
    for (const time of all("time", root)) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      const today = at.toDateString() === new Date().toDateString();
      time.textContent = today ? clock : `${at.toLocaleDateString([], { day: "numeric", month: "short" })} ${clock}`;
    }
  };
  localise(document);

  // --- Replacing an element without taking away what its reader has opened, typed or focused.
  const replace = (old, fresh) => {
    for (const opened of all("details[data-keep][open]", old)) {
      const same = find(`details[data-keep="${CSS.escape(opened.dataset.keep)}"]`, fresh);
      if (same) same.open = true;
    }
    let focus = null;
    for (const form of all("form[data-button]", old)) {
      const same = find(`form[data-button="${CSS.escape(form.dataset.button)}"]`, fresh);
      if (!same) continue;
      for (const field of all("input:not([type=hidden]), button", form)) {
        const twin = same.elements.namedItem(field.name);
        if (!twin) continue;
        if (field.tagName === "INPUT") twin.value = field.value;
        if (field === document.activeElement) focus = twin;
      }
    }
    const told = find("[data-notices]", old);
    const place = find("[data-notices]", fresh);
    // What was said about a state that is over is over too.
    const state = (root) => find("[data-status]", root)?.textContent;
    if (told && place && !place.hasChildNodes() && state(old) === state(fresh)) place.append(...told.childNodes);
    localise(fresh);
    old.replaceWith(fresh);
    if (focus) focus.focus();
  };

  // --- Asking the server. `null` when it could not be asked; the text says why it said no.
  const post = async (form, submitter) => {
    const body = new URLSearchParams(new FormData(form, submitter));
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (answer.status === 401) return location.reload();
    if (answer.ok) return answer.json();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    throw new Error(find(".error", page)?.textContent || `The console answered ${answer.status}. Try again.`);
  };
  const fault = (error) => {
    const text = error instanceof TypeError ? "The console cannot be reached. Try again in a moment." : error.message;
    const box = document.createElement("div");
    box.className = "notice tone-bad";
    box.textContent = text;
    return box;
  };
  const nextKey = (form) => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    form.elements.namedItem("key").value = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  };

  // --- Buttons on cards.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form.click")) return;
    event.preventDefault();
    if (form.classList.contains("busy")) return;
    form.classList.add("busy");
    const card = form.closest("[data-request]");
    const tell = (element) => find(`[id="${CSS.escape(card.id)}"] [data-notices]`)?.replaceChildren(...element);
    tell([]);
    try {
      const said = await post(form, event.submitter);
      if (said) {
        tell(said.notice ? [parse(said.notice)] : []);
        if (!said.notice) form.closest("details")?.removeAttribute("open");
      }
      nextKey(form); // Answered; the same click again would be another one.
    } catch (error) {
      tell([fault(error)]); // Not answered for certain: the same key makes a second try the same click.
    }
    form.classList.remove("busy");
  });
  document.addEventListener("click", (event) => {
    const details = event.target.closest?.("details.ask > summary")?.parentElement;
    // The browser opens it after this event.
    if (details) setTimeout(() => { if (details.open) find("[data-focus]", details)?.focus(); });
  });
  document.addEventListener("keydown", (event) => {
    const ask = event.key === "Escape" && event.target.closest?.("details.ask[open]");
    if (ask) { ask.open = false; find("summary", ask).focus(); }
  });

  // --- Signing in by link: the token is in the fragment, which no server and no log ever sees.
  const signIn = find("form[data-sign-in]");
  if (signIn && location.hash.startsWith("#token=")) {
    signIn.elements.namedItem("token").value = decodeURIComponent(location.hash.slice(7));
    history.replaceState(null, "", location.pathname + location.search);
    signIn.requestSubmit();
  }

  // --- Live updates.
  const source = find("[data-events]");
  const list = find("#messages");
  const upsert = (fresh) => {
    const old = document.getElementById(fresh.id);
    if (old) return replace(old, fresh);
    if (!list || !fresh.dataset.message) return;
    const id = Number(fresh.dataset.message);
    const shown = all("[data-message]", list);
    // Edits of what is further up than this page shows are not ours to show.
    if (shown.length && id < Number(shown[0].dataset.message) && find("[data-older]")) return;
    localise(fresh);
    find(".welcome")?.remove();
    const next = shown.find((other) => Number(other.dataset.message) > id);
    if (next) return next.before(fresh);
    const line = fresh.hasAttribute("data-mine") && find("[data-line]", fresh)?.textContent;
    const pending = all("[data-pending]", list);
    const mine = pending.find((other) => find("[data-line]", other).textContent === line);
    if (mine) return mine.replaceWith(fresh);
    if (pending.length) pending[0].before(fresh); else list.append(fresh);
  };
  if (source && window.EventSource) {
    let stream = null, seen = source.dataset.since, timer = 0;
    const light = find("[data-live-state]");
    const show = (state, words) => { if (light) { light.dataset.state = state; light.textContent = words; } };
    const open = () => {
      clearTimeout(timer);
      if (stream) return;
      stream = new EventSource(`${source.dataset.events}&since=${encodeURIComponent(seen)}`);
      stream.onopen = () => show("live", "Live");
      stream.onerror = () => {
        show("lost", "Reconnecting…");
        // The browser comes back by itself after a cut; after a refusal it does not.
        if (stream && stream.readyState === EventSource.CLOSED) { stream = null; timer = setTimeout(open, 5000); show("lost", "Not live; trying again…"); }
      };
      stream.addEventListener("draw", (event) => {
        if (event.lastEventId) seen = event.lastEventId;
        upsert(parse(JSON.parse(event.data).html));
      });
    };
    // A browser allows few streams to one server, so a tab that nobody looks at gives its own back.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) return open();
      clearTimeout(timer);
      if (stream) { stream.close(); stream = null; }
    });
    if (!document.hidden) open();
  }

  // --- The composer.
  const composer = find("form[data-composer]");
  if (!composer) return;
  const input = composer.elements.namedItem("text");
  const options = find("#options");
  const lines = all("[data-message][data-mine] [data-line]").map((line) => line.textContent);
  let past = lines.length, draft = "";
  const put = (text) => { input.value = text; input.setSelectionRange(text.length, text.length); };

  composer.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    close();
    const pending = find("#pending").content.firstElementChild.cloneNode(true);
    find("[data-line]", pending).textContent = text;
    find(".welcome")?.remove();
    list.append(pending);
    find(".stream").scrollTop = 0;
    lines.push(text);
    past = lines.length;
    const key = composer.elements.namedItem("key");
    const used = key.value;
    try {
      const answer = post(composer);
      nextKey(composer);
      put("");
      const said = await answer;
      if (said?.line) upsert(parse(said.line));
      pending.remove();
      if (said?.whisper) { const whisper = parse(said.whisper); localise(whisper); list.append(whisper); }
    } catch (error) {
      find(".said", pending)?.append(fault(error));
      pending.classList.remove("pending");
      pending.removeAttribute("data-pending");
      // The same key makes a second try the same line.
      if (!input.value) { put(text); key.value = used; }
    }
  });

  let found = [], chosen = -1, asked = 0, wait = 0;
  const close = () => {
    clearTimeout(wait);
    asked++; found = []; chosen = -1;
    options.hidden = true;
    options.replaceChildren();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (index) => {
    chosen = index;
    for (const [at, item] of [...options.children].entries()) {
      item.setAttribute("aria-selected", String(at === index));
      if (at === index) { item.scrollIntoView({ block: "nearest" }); input.setAttribute("aria-activedescendant", item.id); }
    }
  };
  const take = (index) => { put(found[index].line); close(); suggest(); };
  const suggest = () => {
    clearTimeout(wait);
    const mine = ++asked;
    wait = setTimeout(async () => {
      const query = new URLSearchParams({ room: composer.elements.namedItem("room").value, text: input.value });
      const answer = await fetch(`/complete?${query}`, { headers: { Accept: "application/json" } }).catch(() => null);
      if (!answer?.ok || mine !== asked) return;
      const next = (await answer.json()).filter((option) => option.line.trimEnd() !== input.value.trimEnd());
      if (mine !== asked) return;
      found = next; chosen = -1;
      options.replaceChildren(...found.map((option, at) => {
        const item = document.createElement("li"), word = document.createElement("code"), help = document.createElement("span");
        item.id = `option-${at}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        word.textContent = option.word;
        help.textContent = option.help;
        item.append(word, help);
        item.addEventListener("mousedown", (event) => { event.preventDefault(); take(at); });
        return item;
      }));
      options.hidden = found.length === 0;
      input.setAttribute("aria-expanded", String(found.length > 0));
      input.removeAttribute("aria-activedescendant");
    }, 60);
  };
  input.addEventListener("input", () => { past = lines.length; if (input.value.trim()) suggest(); else close(); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const open = !options.hidden;
    const up = event.key === "ArrowUp", down = event.key === "ArrowDown";
    if (open && (up || down)) {
      event.preventDefault();
      // A late answer must not take away what is being chosen: Enter would send the half line.
      clearTimeout(wait); asked++;
      const last = found.length - 1;
      if (down) choose(chosen === last ? 0 : chosen + 1);
      else choose(chosen <= 0 ? last : chosen - 1);
    } else if (open && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      take(Math.max(chosen, 0));
    } else if (open && event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      take(chosen);
    } else if (event.key === "Escape") {
      close();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      suggest();
    } else if (up && past > 0) {
      event.preventDefault();
      if (past === lines.length) draft = input.value;
      put(lines[--past]);
    } else if (down && past < lines.length) {
      event.preventDefault();
      past++;
      put(past === lines.length ? draft : lines[past]);
    }
  });
  if (matchMedia("(pointer: fine)").matches) input.focus();
})();
