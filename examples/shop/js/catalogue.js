// What the shop sells, and how its events speak of a product.

export const products = await (await fetch("/products.json")).json();

export const productOf = (id) => products.find((product) => product.product_id === id);
export const path = (product) => `/products/${product.product_id}`;

// Mails show the picture and link to the product, so both addresses are whole.
export function properties(product, quantity) {
  const { product_id, name, price, category, consumable } = product;
  return {
    product_id,
    name,
    price,
    currency: "EUR",
    category,
    url: `${location.origin}${path(product)}`,
    image_url: `${location.origin}/pictures/${product_id}.png`,
    ...(consumable && { consumable }),
    ...(quantity && { quantity }),
  };
}
