/** The rooms where this browser was last. */

import { byId, make, store } from "../page.js";

const rooms = store("localStorage", "chat:recent", []).read();
const section = byId("recent");
const list = section.querySelector("ul");
for (const room of rooms) {
  const link = make("a", "chip", room);
  link.dir = "auto";
  link.href = section.dataset.url.replace("ROOM", () => room.split("/").map(encodeURIComponent).join("/"));
  const item = make("li");
  item.append(link);
  list.append(item);
}
section.hidden = rooms.length === 0;
