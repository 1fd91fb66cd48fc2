// Shows the mails of /api/mails. What a mail says is only ever set as text, or framed in an origin of its own.

const POLL_MS = 1000;
const find = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[data-view]")];

let newest = 0;
let chosen = null; // { summary, headers, html, text }
let view = "html";

const when = (mail) => new Date(mail.received);
const latency = (mail) =>
  mail.latency_ms === null ? "" : `${mail.latency_ms < 1000 ? Math.round(mail.latency_ms) + " ms" : (mail.latency_ms / 1000).toFixed(1) + " s"} after due`;

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function entry(mail) {
  const button = document.createElement("button");
  button.dataset.id = mail.id;
  const top = element("span", "row", "");
  top.append(element("span", "", mail.recipients.join(", ")), element("small", "soft", when(mail).toLocaleTimeString()));
  const bottom = element("span", "row soft", "");
  bottom.append(element("span", "", mail.shown_from), element("small", "", latency(mail)));
  button.append(top, element("span", "subject", mail.subject || "(no subject)"), bottom);
  button.addEventListener("click", () => open(mail.id));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

async function open(id) {
  const answer = await fetch(`/api/mails/${id}`);
  if (!answer.ok) return;
  chosen = await answer.json();
  history.replaceState(null, "", `#${id}`);
  const { summary } = chosen;
  find("subject").textContent = summary.subject || "(no subject)";
  find("from").textContent = summary.shown_from;
  find("to").textContent = summary.shown_to || summary.recipients.join(", ");
  find("received").textContent = when(summary).toLocaleString();
  find("latency").textContent = latency(summary);
  find("latency").hidden = summary.latency_ms === null;
  find("mail").hidden = false;
  find("empty").hidden = true;
  for (const button of document.querySelectorAll(".list button"))
    button.setAttribute("aria-current", button.dataset.id === String(id));
  await show(chosen.html === null && view === "html" ? "text" : view);
}

async function show(name) {
  view = name;
  for (const tab of tabs) tab.setAttribute("aria-selected", tab.dataset.view === view);
  const { summary, html, text } = chosen;
  find("html").hidden = view !== "html" || html === null;
  find("text").hidden = !find("html").hidden;
  if (view === "html" && html !== null) find("html").src = `/mails/${summary.id}/html`;
  else if (view === "source") find("text").textContent = await (await fetch(`/mails/${summary.id}/source`)).text();
  else find("text").textContent = text ?? "This mail has no such part.";
}

async function poll() {
  try {
    const { total, mails } = await (await fetch(`/api/mails?after=${newest}`)).json();
    find("total").textContent = total === 1 ? "1 mail" : `${total} mails`;
    if (mails.length) {
      newest = mails[0].id;
      find("list").prepend(...mails.map(entry));
      if (chosen === null) await open(Number(location.hash.slice(1)) || newest);
    }
  } catch {
    find("total").textContent = "not reachable; is it still up?";
  }
  setTimeout(poll, POLL_MS);
}

for (const tab of tabs) tab.addEventListener("click", () => show(tab.dataset.view));
poll();
