// What the shop remembers in this browser; where storage is blocked, for as long as the page is open.

const memory = new Map();

export function read(name, otherwise) {
  try {
    const text = localStorage.getItem(`shop.${name}`);
    if (text !== null) return JSON.parse(text);
  } catch {} // blocked, or not ours
  return memory.has(name) ? memory.get(name) : otherwise;
}

export function write(name, value) {
  memory.set(name, value);
  try {
    localStorage.setItem(`shop.${name}`, JSON.stringify(value));
  } catch {} // blocked or full
}
