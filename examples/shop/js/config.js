// Where everything is: `tracker`, `write_key`, `inbox` (empty where the mails go to a real server).

export const config = await (await fetch("/config.json")).json();
