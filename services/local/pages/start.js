// Shows /api/status, again and again: what runs, where, and how it is.

const POLL_MS = 2000;
const find = (id) => document.getElementById(id);

function row(name, ...cells) {
  const made = document.createElement("tr");
  const head = document.createElement("td");
  head.className = "soft";
  head.textContent = name;
  made.append(head);
  for (const cell of cells) {
    const data = document.createElement("td");
    data.append(cell);
    made.append(data);
  }
  return made;
}

function link(address) {
  if (!address.startsWith("http")) return address;
  const made = document.createElement("a");
  made.href = made.textContent = address;
  return made;
}

function state(process) {
  const made = document.createElement("span");
  made.className = process.state === "running" ? "good" : "bad";
  made.textContent = process.state + (process.restarts ? `, restarts: ${process.restarts}` : "");
  made.title = process.problem;
  return made;
}

const example = ({ tracker, write_key, shop }) => `curl -X POST ${tracker}/v1/events -u ${write_key}: \\
  -H 'Content-Type: application/json' -d @- <<EOF
[{"user_id": "ada", "event": "identify", "properties": {"email": "ada@example.com", "first_name": "Ada"}},
 {"user_id": "ada", "event": "added_to_cart", "timestamp": $(( $(date +%s) - 1797 )),
  "properties": {"product_id": "mug", "name": "Stoneware mug", "price": 24.5, "currency": "EUR",
                 "image_url": "${shop}/pictures/mug.png", "url": "${shop}/products/mug"}}]
EOF`;

function frame(inbox) {
  if (!inbox || find("inbox").firstChild) return;
  const made = document.createElement("iframe");
  made.src = inbox;
  made.title = "The inbox";
  find("inbox").append(made);
  find("inbox").hidden = false;
}

async function poll() {
  try {
    const status = await (await fetch("/api/status")).json();
    const { tracker, inbox, shop, nats, database, smtp, write_key, folder, processes } = status;
    const addresses = { "sample shop": shop, tracker, inbox, nats, database, smtp, "write key": write_key, "data, logs": folder };
    find("addresses").replaceChildren(...Object.entries(addresses).map(([name, value]) => row(name, link(value))));
    find("processes").replaceChildren(...processes.map((each) => row(each.name, state(each), String(each.pid ?? ""))));
    find("curl").textContent = example(status);
    const down = processes.filter((each) => each.state !== "running").length;
    find("health").textContent = down ? `${down} of ${processes.length} processes are not running` : "everything runs";
    find("shop").href = shop;
    frame(inbox);
  } catch {
    find("health").textContent = "not reachable; is it still up?";
  }
  setTimeout(poll, POLL_MS);
}

poll();
