// A sample shop: each button tells the tracker, as a shop's own page would, what a shopper did.

const HALF_AN_HOUR_S = 30 * 60;
const TWO_WEEKS_S = 14 * 24 * 60 * 60;
const LEAD_S = 3; // what is due after half an hour is due three seconds from now
const SHOP = "https://shop.beckon.example";
const PRODUCTS = [
  { product_id: "mug", name: "Stoneware mug", price: 24.5 },
  { product_id: "backpack", name: "Canvas backpack", price: 129 },
  { product_id: "lamp", name: "Desk lamp", price: 89 },
  { product_id: "watch", name: "Mechanical watch", price: 1290 },
];
const find = (id) => document.getElementById(id);
const names = ["Ada", "Ben", "Cleo", "Dan", "Edda", "Finn", "Gil", "Hana", "Iris", "Jon"];

let shopper;

function newShopper() {
  const first_name = names[Math.floor(Math.random() * names.length)];
  const user_id = `${first_name.toLowerCase()}-${Date.now().toString(36).slice(-5)}`;
  shopper = { user_id, first_name, email: `${user_id}@example.com`, known: false };
  find("shopper").textContent = shopper.email;
  find("told").textContent = "";
}

async function tell({ tracker, write_key }, event, agoS, properties) {
  const timestamp = new Date(Date.now() - agoS * 1000).toISOString();
  const told = [{ user_id: shopper.user_id, event, timestamp, properties }];
  if (!shopper.known) {
    const { first_name, email } = shopper;
    told.unshift({ user_id: shopper.user_id, event: "identify", timestamp, properties: { first_name, email } });
  }
  try {
    const answer = await fetch(`${tracker}/v1/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Write-Key": write_key },
      body: JSON.stringify(told),
    });
    shopper.known ||= answer.ok;
    find("told").textContent = `${event}, ${agoS ? `as of ${timestamp}` : "now"}: ${answer.status} ${await answer.text()}`;
  } catch (error) {
    find("told").textContent = `The tracker does not answer: ${error.message}`;
  }
}

function button(text, act) {
  const made = document.createElement("button");
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

function card(status, product) {
  const properties = {
    ...product,
    currency: "EUR",
    image_url: `${status.inbox}/pictures/${product.product_id}.png`,
    url: `${SHOP}/${product.product_id}`,
  };
  const made = document.createElement("figure");
  const picture = document.createElement("img");
  picture.src = properties.image_url;
  picture.alt = "";
  const caption = document.createElement("figcaption");
  caption.textContent = `${product.name} €${product.price.toFixed(2)}`;
  made.append(
    picture,
    caption,
    button("Look", () => tell(status, "product_viewed", 0, properties)),
    button("Add to cart", () => tell(status, "added_to_cart", HALF_AN_HOUR_S - LEAD_S, properties)),
    button("Buy", () => tell(status, "purchased", 0, { ...properties, total: product.price })),
  );
  return made;
}

// Called once, when the addresses are known.
export function openShop(status) {
  newShopper();
  find("products").append(...PRODUCTS.map((product) => card(status, product)));
  find("new-shopper").addEventListener("click", newShopper);
  find("away").addEventListener("click", () => tell(status, "page_viewed", TWO_WEEKS_S - LEAD_S, {}));
  find("shop").hidden = false;
}
