/* Beckon's browser SDK; docs/sdk.md says how to use it. sdk.min.js is made of this by `make sdk`.

   Each event is one entry of localStorage until the tracker has answered for it: two tabs cannot overwrite each other's
   queue, what a closed tab left is sent by the next page, and an event sent twice is one event by its event_id. */
(function (window, document, navigator) {
  "use strict";
  var PREFIX = "beckon.";
  var MOST_WAITING = 200; // events kept while the tracker cannot be reached; the oldest go first
  var MOST_BYTES = 60000; // browsers let a page that closes send 64 KiB
  var MOST_EVENTS = 100;
  var LEAVING_MS = 2000;
  var COOKIE_S = 34000000; // thirteen months, as long as browsers keep one

  var early = (window.beckon && window.beckon.q) || [];
  if (window.beckon && window.beckon.loaded) return;
  var script = document.currentScript;
  var given = (script && script.dataset) || {};
  var key = given.key;
  var base = script && script.src ? new URL(script.src).origin : location.origin;
  var pages = given.pages !== "off";
  var cookieDomain = given.cookie;
  var before;

  var local = openLocal();
  var kept = {}; // instead of storage: before consent, and where storage is blocked or full
  var allowed; // undefined: nobody has said yet
  var held = []; // events that wait for consent
  var busy = false;
  var failures = 0;
  var timer;
  var count = 0;
  var lastPage;
  var insideUntil = 0; // until then the page may be left for another one of the same site

  // --- Storage -----------------------------------------------------------------------------------------------------------

  function openLocal() {
    try {
      var storage = window.localStorage;
      storage.setItem(PREFIX + "try", "1");
      storage.removeItem(PREFIX + "try");
      return storage;
    } catch (blocked) {
      return null;
    }
  }

  function get(name) {
    return kept[name] || (local && local.getItem(PREFIX + name));
  }

  function set(name, value) {
    try {
      if (allowed) return local.setItem(PREFIX + name, value);
    } catch (blockedOrFull) {} // eslint-disable-line no-empty
    kept[name] = String(value);
  }

  function remove(name) {
    delete kept[name];
    if (local) local.removeItem(PREFIX + name);
  }

  function names() {
    return Object.keys(local || {})
      .filter(function (name) { return !name.indexOf(PREFIX); })
      .map(function (name) { return name.slice(PREFIX.length); })
      .concat(Object.keys(kept));
  }

  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID();
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
      return ("0" + byte.toString(16)).slice(-2);
    }).join("");
  }

  function cookie(value, seconds) {
    if (!cookieDomain || !allowed) return null;
    if (value) {
      document.cookie = "beckon_id=" + value + ";path=/;samesite=lax;domain=" + cookieDomain +
        ";max-age=" + seconds + (location.protocol === "https:" ? ";secure" : "");
    }
    return (document.cookie.match(/(?:^|; )beckon_id=([\w-]+)/) || [])[1];
  }

  function anonymousId() {
    var id = cookie() || get("id") || uuid();
    if (get("id") !== id) set("id", id);
    cookie(id, COOKIE_S);
    return id;
  }

  // --- Sending -----------------------------------------------------------------------------------------------------------

  function waiting() {
    return names().filter(function (name) { return !name.indexOf("e."); }).sort();
  }

  function put(event) {
    if (!allowed) {
      if (allowed !== false) held.push(event);
      return;
    }
    event.anonymous_id = anonymousId();
    event.user_id = event.user_id || get("user") || undefined;
    if (before && before(event) === false) return;
    var older = waiting();
    older.slice(0, Math.max(0, older.length + 1 - MOST_WAITING)).forEach(remove);
    set("e." + event.timestamp + "." + (1000 + (count++ % 1000)) + event.event_id, JSON.stringify(event));
    later(0);
  }

  function later(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(flush, milliseconds);
  }

  /* As many of the waiting events as one request may carry: their names, and the body. */
  function batch() {
    var taken = [];
    var body = "";
    waiting().some(function (name) {
      var event = get(name);
      if (!event) return false; // another tab was faster
      event = event.slice(0, -1) + ',"sent_at":' + Date.now() + "}";
      if (body && body.length + event.length > MOST_BYTES) return true;
      body += (body && ",") + event;
      return taken.push(name) === MOST_EVENTS;
    });
    return { names: taken, body: "[" + body + "]" };
  }

  function address() {
    return base + "/v1/events?key=" + encodeURIComponent(key);
  }

  function flush() {
    if (busy || !key || !allowed) return;
    var sending = batch();
    if (!sending.names.length) return;
    busy = true;
    // A text: no preflight. keepalive: it goes on while the page is left.
    fetch(address(), { method: "POST", body: sending.body, keepalive: true, credentials: "omit" })
      .then(function (answer) {
        if (answer.status >= 500 || answer.status === 429 || answer.status === 408) {
          return 1000 * (answer.headers.get("Retry-After") || 1);
        }
        sending.names.forEach(remove);
        return answer.json().then(function (told) {
          if (told.rejected[0] || told.error) console.warn("beckon:", told.error || "not taken", told.rejected);
        });
      })
      .catch(function () { return 1; })
      .then(function (retry) {
        busy = false;
        failures = retry ? failures + 1 : 0;
        if (retry) later(Math.max(retry, Math.min(60000, 500 * Math.pow(2, failures)) * (0.5 + Math.random() / 2)));
        else if (waiting().length) later(0);
      });
  }

  /* The page may never be seen again: what no answer has come for goes once more, and stays for the next page until then. */
  function beacon() {
    var sending = allowed && key && batch();
    if (sending && sending.names.length) navigator.sendBeacon(address(), sending.body);
  }

  function leave() {
    var quantity = Number(get("cart"));
    if (quantity > 0 && Date.now() > insideUntil) track("cart_abandonment", { quantity: quantity });
    beacon();
  }

  // --- What happens ------------------------------------------------------------------------------------------------------

  function timezone() {
    return Intl.DateTimeFormat().resolvedOptions().timeZone;
  }

  function track(name, properties, user) {
    properties = properties || {};
    cart(String(name).trim().toLowerCase().replace(/\s+/g, "_"), Number(properties.quantity) || 1);
    put({
      event: name,
      timestamp: Date.now(),
      event_id: uuid(),
      user_id: user,
      properties: properties,
      context: {
        source: "web",
        page: { url: location.href, title: document.title, referrer: document.referrer },
        locale: navigator.language,
        timezone: timezone(),
      },
    });
  }

  function cart(name, quantity) {
    if (/^(added_to_cart|product_added)$/.test(name)) set("cart", Number(get("cart")) + quantity);
    if (/^(removed_from_cart|product_removed)$/.test(name)) set("cart", Math.max(0, get("cart") - quantity));
    if (/^(purchased|order_completed)$/.test(name)) remove("cart");
  }

  function page(properties) {
    lastPage = location.href;
    track("page_viewed", Object.assign(
      { url: location.href, path: location.pathname, title: document.title, referrer: document.referrer },
      properties
    ));
    document.querySelectorAll('[data-beckon-on="view"]').forEach(function (shown) {
      if (shown.beckonSeen !== lastPage) element(shown, "view");
      shown.beckonSeen = lastPage;
    });
  }

  function identify(user, traits) {
    set("user", user);
    track("identify", Object.assign({ locale: navigator.language, timezone: timezone() }, traits), String(user));
  }

  function reset() {
    ["user", "cart", "id"].forEach(remove);
    cookie(uuid(), COOKIE_S);
  }

  function consent(yes) {
    if (yes) {
      allow();
    } else {
      allowed = true; // so that the "no" is kept
      held = [];
      names().forEach(remove);
      cookie("-", 0);
    }
    set("consent", yes ? 1 : 0);
    allowed = !!yes;
  }

  function allow() {
    allowed = true;
    Object.keys(kept).forEach(function (name) {
      var value = kept[name];
      delete kept[name];
      set(name, value);
    });
    anonymousId(); // now, so that a second tab finds it
    held.splice(0).forEach(put);
    later(0);
  }

  // --- Pages and elements ------------------------------------------------------------------------------------------------

  function moved() {
    setTimeout(function () { // the title comes a little later
      if (pages && location.href !== lastPage) page();
    });
  }

  function element(from, on) {
    var found = from.closest && from.closest("[data-beckon-event]");
    if (!found || (found.dataset.beckonOn || (found.tagName === "FORM" ? "submit" : "click")) !== on) return;
    var properties = {};
    Array.from(found.attributes).forEach(function (attribute) {
      var name = attribute.name.replace(/^data-beckon-/, "");
      if (name === attribute.name || name === "event" || name === "on") return;
      var number = /^(price|quantity|total)$/.test(name) && attribute.value !== "" && Number(attribute.value);
      properties[name.replace(/-/g, "_")] = typeof number === "number" && number === number ? number : attribute.value;
    });
    track(found.dataset.beckonEvent, properties);
  }

  function listen(target, name, listener) {
    target.addEventListener(name, listener, true);
  }

  listen(document, "click", function (event) {
    var link = event.target.closest && event.target.closest("a[href]");
    if (link && link.origin === location.origin) insideUntil = Date.now() + LEAVING_MS;
    element(event.target, "click");
  });
  listen(document, "submit", function (event) {
    insideUntil = Date.now() + LEAVING_MS;
    element(event.target, "submit");
  });
  listen(document, "visibilitychange", function () {
    if (document.visibilityState === "hidden") beacon();
  });
  listen(window, "pagehide", leave);
  listen(window, "online", function () {
    failures = 0;
    later(0);
  });
  listen(window, "popstate", moved);
  listen(window, "pageshow", function (event) {
    if (!event.persisted) return;
    busy = false; // out of the back-forward cache: what was under way is gone
    if (pages) page();
    later(0);
  });
  ["pushState", "replaceState"].forEach(function (name) {
    var original = history[name];
    history[name] = function () {
      var result = original.apply(history, arguments);
      moved();
      return result;
    };
  });

  // --- Calls -------------------------------------------------------------------------------------------------------------

  function begin(asked) {
    var answered = get("consent");
    if (answered) consent(answered === "1");
    else if (asked === "given") consent(true);
    else if (navigator.globalPrivacyControl || navigator.doNotTrack === "1") allowed = false;
    else if (asked !== "required") allow();
    if (pages && location.href !== lastPage) page();
  }

  var calls = {
    init: function (writeKey, options) {
      options = options || {};
      key = writeKey;
      base = options.url || base;
      cookieDomain = options.cookie || cookieDomain;
      before = options.before;
      if ("pages" in options) pages = options.pages;
      begin(options.consent);
    },
    track: track,
    page: page,
    identify: identify,
    alias: function (user) { track("alias", { previous_id: anonymousId() }, String(user)); },
    reset: reset,
    consent: consent,
    cart: function (quantity) { set("cart", quantity); },
  };

  window.beckon = function (call) {
    if (!calls[call]) throw new Error("beckon: " + call + " is none of " + Object.keys(calls).join(", "));
    calls[call].apply(null, Array.from(arguments).slice(1));
  };
  window.beckon.loaded = true;
  if (key) begin(given.consent);
  early.forEach(function (call) { window.beckon.apply(null, call); });
})(window, document, navigator);
